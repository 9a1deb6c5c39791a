"""--amp of the tools, and the run that stops at a loss of nan."""
import os
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine._strategy import FSDPStrategy
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

from csd_mmpretrain.runtime import run_options
from csd_mmpretrain.runtime.block_fsdp_strategy import BlockFSDPStrategy

NAN_LOSS = """
from mmpretrain.registry import MODELS

from csd_mmpretrain.methods.csdnet import DDLQueueLoss


@MODELS.register_module()
class LateNanLoss(DDLQueueLoss):
    steps = 0

    def forward(self, views, labels):
        losses = super().forward(views, labels)
        self.steps += 1
        if self.steps == 2:
            losses['loss_qc'] = losses['loss_qc'] * float('nan')
        return losses
"""
CPU = pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')


def wrapper_of(*args):
    args = run_options.make_train_parser().parse_args([str(a) for a in args])
    return run_options.make_train_config(args).optim_wrapper


@CPU
@pytest.mark.parametrize('options', [
    [], ['optim_wrapper.type=AmpOptimWrapper', 'optim_wrapper.loss_scale=512.',
         'optim_wrapper.dtype=float16', 'optim_wrapper.use_fsdp=True']
], ids=['plain', 'made for a GPU'])
def test_amp_without_a_gpu_is_bfloat16(tiny_config, options):
    wrapper = wrapper_of(tiny_config, '--amp', '--cfg-options',
                         'optim_wrapper.accumulative_counts=2', *options)
    assert wrapper.pop('optimizer').type == 'AdamW'
    assert wrapper == dict(type='BFloat16OptimWrapper', accumulative_counts=2)


@CPU
def test_amp_of_a_config_without_a_gpu(tiny_config):
    with pytest.raises(ValueError, match='AmpOptimWrapper needs a GPU.*--amp'):
        wrapper_of(tiny_config, '--cfg-options',
                   'optim_wrapper.type=AmpOptimWrapper')


@pytest.mark.parametrize('options, expected', [
    ([], ('AmpOptimWrapper', 'dynamic')),
    (['optim_wrapper.loss_scale=512.'], ('AmpOptimWrapper', 512.)),
    (['optim_wrapper.type=BFloat16OptimWrapper'],
     ('BFloat16OptimWrapper', None)),
])
def test_amp_with_a_gpu(tiny_config, monkeypatch, options, expected):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    wrapper = wrapper_of(tiny_config, '--amp', '--cfg-options',
                         'optim_wrapper.accumulative_counts=2', *options)
    assert (wrapper.type, wrapper.get('loss_scale')) == expected


def test_amp_with_fsdp_on_gpus(tiny_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    wrapper = wrapper_of(
        tiny_config, '--amp', '--cfg-options', 'runner_type=FlexibleRunner',
        'strategy.type=BlockFSDPStrategy', 'optim_wrapper.loss_scale=512.')
    assert wrapper.type == 'BFloat16OptimWrapper'
    assert 'loss_scale' not in wrapper


@pytest.mark.parametrize('sharded', [False, True])
def test_fsdp_with_a_scaler_for_each_process(monkeypatch, sharded):
    scaler = (ShardedGradScaler if sharded else torch.amp.GradScaler)
    built = SimpleNamespace(loss_scaler=scaler('cpu'))
    monkeypatch.setattr(FSDPStrategy, 'build_optim_wrapper',
                        lambda *args: built)
    strategy = BlockFSDPStrategy.__new__(BlockFSDPStrategy)
    if sharded:
        assert strategy.build_optim_wrapper({}) is built
    else:
        with pytest.raises(ValueError, match="'BFloat16OptimWrapper'"):
            strategy.build_optim_wrapper({})


@pytest.fixture
def nan_config(tiny_config, tmp_path):
    (tmp_path / 'nan_loss.py').write_text(NAN_LOSS)
    config = tmp_path / 'nan.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "custom_imports = dict(imports=['csd_mmpretrain', 'nan_loss'])\n"
        "model = dict(head=dict(contrast=dict(type='LateNanLoss')))\n")
    return config


def test_amp_trains_and_a_loss_of_nan_stops_the_resumed_run(
        run_python, repo_root, tiny_config, tiny_data, nan_config, tmp_path):
    command = [repo_root / 'tools/train.py', '--amp', '--work-dir', tmp_path]
    log = run_python(*command, tiny_config, '--cfg-options',
                     'train_cfg.max_epochs=1',
                     'optim_wrapper.clip_grad.max_norm=5.').stdout
    assert 'cpu, bfloat16 (AMP)' in log
    assert len(re.findall(r'Epoch\(train\).* loss_qc: \d+\.\d+', log)) == 4

    path = os.pathsep.join([str(tmp_path), os.environ['PYTHONPATH']])
    log = run_python(*command, nan_config, '--resume', fails=True,
                     PYTHONPATH=path).stdout
    step, images, remedy = log.strip().splitlines()[-3:]
    assert re.match(
        r'FloatingPointError: Step 6 \(epoch 2, batch 2\) is not finite: '
        r'loss=nan, loss_qc=nan \(of all: .*loss_cls=\d', step)
    assert len(re.findall(f'{tiny_data}/train/class\\d/\\d.png', images)) == 6
    assert f'Last good checkpoint: {tmp_path}/epoch_1.pth' in remedy
    assert not (tmp_path / 'epoch_2.pth').exists()
