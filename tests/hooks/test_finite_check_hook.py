"""Tests of FiniteCheckHook."""
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook, EMAHook, RuntimeInfoHook
from mmengine.logging import MessageHub
from mmengine.runner.priority import get_priority
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.hooks.finite_check_hook import FiniteCheckHook

GOOD = dict(loss=2.5, loss_cls=2., loss_qc=0.5, ddl_positives=math.inf)


@pytest.fixture
def runner(tmp_path):
    return SimpleNamespace(
        iter=36,
        epoch=2,
        work_dir=str(tmp_path),
        optim_wrapper=SimpleNamespace(),
        model=nn.BatchNorm1d(2),
        message_hub=MessageHub(f'{tmp_path}'))


def batch(count, **names):
    samples = [DataSample() for _ in range(count)]
    for i, sample in enumerate(samples):
        sample.set_metainfo(
            {key: value.format(i) for key, value in names.items()})
    return dict(inputs=[], data_samples=samples)


def step(runner, data_batch=None, **values):
    outputs = {key: torch.tensor(value)
               for key, value in dict(GOOD, **values).items()}
    for hook in (RuntimeInfoHook(), FiniteCheckHook()):
        hook.after_train_iter(runner, 4, data_batch, outputs)


def test_a_finite_step_goes_on(runner):
    step(runner)
    FiniteCheckHook().after_train_iter(runner, 4, None, None)


def test_order_of_the_hooks():
    hooks = RuntimeInfoHook, FiniteCheckHook, EMAHook, CheckpointHook
    places = [get_priority(hook.priority) for hook in hooks]
    assert places == sorted(places) and len(set(places)) == 4


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_names_step_loss_images_and_checkpoint(runner, tmp_path, value):
    (tmp_path / 'last_checkpoint').write_text('work/epoch_2.pth')
    with pytest.raises(FloatingPointError) as error:
        step(runner, batch(2, img_path='data/{}.jpg'), loss_qc=value)
    assert str(error.value).startswith(
        f'Step 37 (epoch 3, batch 5) is not finite: loss_qc={value} (of all: '
        f'loss=2.5, loss_cls=2, loss_qc={value}).\n'
        'Images of the batch: data/0.jpg, data/1.jpg.\n'
        'Last good checkpoint: work/epoch_2.pth. ')
    for remedy in ('optimizer.lr', 'clip_grad', '--amp',
                   '--resume work/epoch_2.pth', 'load_from=work/epoch_2.pth'):
        assert remedy in str(error.value)


@pytest.mark.parametrize('data_batch, shown', [
    (batch(23, img_path='{}.jpg'), '18.jpg, 19.jpg and 3 more.'),
    (batch(2, sample_idx='{}'), 'batch: number 0, number 1.'),
    ([], 'batch: unknown.'),
])
def test_batches_of_any_kind(runner, data_batch, shown):
    with pytest.raises(FloatingPointError) as error:
        step(runner, data_batch, loss=math.nan)
    assert shown in str(error.value)
    assert 'There is no checkpoint yet.' in str(error.value)


def test_names_the_rank(runner, monkeypatch):
    module = 'csd_mmpretrain.hooks.finite_check_hook'
    monkeypatch.setattr(f'{module}.get_world_size', lambda: 4)
    monkeypatch.setattr(f'{module}.get_rank', lambda: 3)
    with pytest.raises(FloatingPointError, match=r'batch 5\) on rank 3 is'):
        step(runner, loss=math.nan)


def test_gradient_norm_unless_a_scaler_skips_the_step(runner):
    runner.message_hub.update_scalar('train/grad_norm', math.inf)
    with pytest.raises(FloatingPointError, match='grad_norm=inf'):
        step(runner)
    runner.optim_wrapper.loss_scaler = None
    step(runner)


def test_bad_parameters_are_not_saved(runner):
    runner.model.register_buffer('mask', torch.tensor(-math.inf))
    checkpoint = dict(state_dict=runner.model.state_dict(),
                      meta=dict(iter=36))
    hook = FiniteCheckHook()
    hook.before_save_checkpoint(runner, checkpoint)
    hook.before_train(runner)
    for name, tensor in (('running_var', runner.model.running_var),
                         ('weight', runner.model.weight.data)):
        tensor[0] = math.inf
        with pytest.raises(FloatingPointError,
                           match=f'step 36 is not written, as 1 of .*: {name}'
                           ):
            hook.before_save_checkpoint(runner, checkpoint)
        for start in (hook.before_train, hook.before_test):
            with pytest.raises(FloatingPointError, match=f'1 .* step: {name}'):
                start(runner)
        tensor[0] = 1
    runner.model.bias.data[1] = math.nan
    FiniteCheckHook(enabled=False).before_save_checkpoint(runner, checkpoint)
    FiniteCheckHook(enabled=False).before_train(runner)


@pytest.mark.parametrize('method', ['after_val_iter', 'after_test_iter'])
def test_scores_that_are_not_finite(runner, method):
    check = partial(getattr(FiniteCheckHook(), method), runner, 4)
    outputs = [DataSample().set_pred_score(torch.rand(3)) for _ in range(2)]
    check(batch(2), outputs)
    check(None, None)
    check(None, [DataSample(), dict(caption='a leaf')])
    outputs[1].pred_score[2] = math.nan
    with pytest.raises(FloatingPointError, match='batch 5 .*data/1.jpg'):
        check(batch(2, img_path='data/{}.jpg'), outputs)
    getattr(FiniteCheckHook(enabled=False), method)(runner, 4, None, outputs)


def test_can_be_switched_off(runner):
    runner.message_hub.update_scalar('train/loss', math.nan)
    FiniteCheckHook(enabled=False).after_train_iter(
        runner, 0, None, dict(loss=torch.tensor(math.nan)))
