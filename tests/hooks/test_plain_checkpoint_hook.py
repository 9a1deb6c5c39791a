from collections import OrderedDict
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from csd_mmpretrain.hooks.plain_checkpoint_hook import (
    PlainCheckpointHook,
    _from_plain,
    _to_plain,
)


def through_file(value, path):
    """Save and load as stock tools do: with torch's own defaults."""
    torch.save(_to_plain(value), path)
    return _from_plain(torch.load(path))


@pytest.mark.parametrize('value', [
    None, True, 3, 2.5, 1j, 'text', b'bytes', [1, (2, [3])], {4, 5},
    torch.Size([2, 3]), torch.float16, {'a': {'b': [None]}}
])
def test_plain_values_stay_as_they_are(value, tmp_path):
    back = through_file(value, tmp_path / 'a.pth')
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize('array', [
    np.arange(6.).reshape(2, 3),
    np.arange(6)[::-2],
    np.array(3, dtype=np.uint8),
    np.array([True, False]),
    np.array([2**32 - 1, 7], dtype=np.uint32),
    np.array([2**64 - 1], dtype=np.uint64),
    np.array(['maize', 'oak']),
    np.arange(3, dtype='>i4'),
    np.zeros((0, 4)),
], ids=lambda array: f'{array.dtype}{array.shape}')
def test_arrays_come_back(array, tmp_path):
    back = through_file({'a': array}, tmp_path / 'a.pth')['a']
    assert isinstance(back, np.ndarray) and back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_random_state_comes_back(tmp_path):
    back = through_file(np.random.get_state(), tmp_path / 'a.pth')
    first = np.random.rand(5)
    np.random.set_state(back)
    np.testing.assert_array_equal(np.random.rand(5), first)


@pytest.mark.parametrize('value, plain', [
    (np.float32(.5), .5), (np.int64(3), 3), (np.bool_(True), True),
    (np.str_('oak'), 'oak'), (ConfigDict(a=ConfigDict(b=1)), {'a': {'b': 1}}),
    (IntEnum('Kind', 'one two').two, 2)
])
def test_relatives_become_plain(value, plain):
    found = _to_plain(value)
    assert found == plain and type(found) is type(plain)


def test_objects_become_text_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match='hub.path is a PosixPath'):
        plain = _to_plain({'path': Path('/data')}, 'hub')
    assert plain == {'path': '/data'}


def test_state_dict_keeps_its_versions():
    state = nn.BatchNorm1d(2).state_dict()
    plain = _to_plain(state)
    assert isinstance(plain, OrderedDict)
    assert plain._metadata == state._metadata


@pytest.mark.parametrize('values', [[], [1, 2, 3], [.5, float('nan'), 2]])
def test_history_comes_back(values, tmp_path):
    history = HistoryBuffer(values, [1] * len(values), max_length=7)
    back = through_file(history, tmp_path / 'a.pth')
    assert isinstance(back, HistoryBuffer) and back.max_length == 7
    for ours, theirs in zip(back.data, history.data):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


class Toy(BaseModel):

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    def forward(self, x, mode='tensor'):
        y = self.layers(torch.stack(x))
        return dict(loss=y.pow(2).mean() + y.mean()) if mode == 'loss' else [y]


class ToyMetric(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0].mean().item())

    def compute_metrics(self, results):
        return dict(score=np.float64(np.mean(results)), map=torch.eye(2))


class NumpyHook(Hook):
    """Put into the checkpoint what a hook of the user's might."""

    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['numpy_state'] = np.random.get_state()
        checkpoint['meta']['mean'] = np.ones(3, dtype=np.float32)
        runner.message_hub.update_info('settings', ConfigDict(a=[1]))


def make_runner(work_dir, epochs=2, plain=True, **kwargs):
    torch.manual_seed(0)
    loader = dict(
        batch_size=4,
        dataset=[dict(x=torch.full((2, ), float(i))) for i in range(8)],
        sampler=dict(type='DefaultSampler', shuffle=False))
    extra = [dict(type='EMAHook'), NumpyHook()]
    if plain:
        # Listed first, it must act last all the same.
        extra.insert(0, PlainCheckpointHook())
    return Runner(
        Toy(),
        str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg=dict(),
        val_evaluator=[ToyMetric()],
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=0.1), clip_grad=dict(max_norm=1)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='CosineAnnealingLR', T_max=4, end=4),
            dict(type='CosineAnnealingMomentum', T_max=4, end=4),
        ],
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook',
                interval=1,
                save_best='score',
                rule='greater')),
        custom_hooks=extra,
        default_scope='mmpretrain',
        experiment_name='_'.join(
            [*work_dir.parts[-2:], str(epochs), str(plain), *kwargs]),
        **kwargs)


def assert_same(ours, theirs):
    """Compare nested values, histories and tensors included."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for pair in zip(ours, theirs):
            assert_same(*pair)
    elif isinstance(theirs, HistoryBuffer):
        assert_same(ours.data, theirs.data)
        assert ours.max_length == theirs.max_length
    elif isinstance(theirs, (torch.Tensor, np.ndarray)):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    else:
        assert ours == theirs


def test_resume_restores_everything(tmp_path):
    """A resumed run has the histories of the one that was saved."""
    runner = make_runner(tmp_path)
    runner.train()
    path = tmp_path / 'epoch_2.pth'
    saved = torch.load(path, weights_only=True)
    assert 'ema_state_dict' in saved

    resumed = make_runner(tmp_path, load_from=str(path), resume=True)
    resumed.train()  # has nothing left to do
    assert resumed.epoch == 2 and resumed.iter == 4
    hub = _from_plain(saved['message_hub'])
    assert set(hub['log_scalars']) >= {'train/loss', 'train/lr', 'val/score'}
    for key, history in hub['log_scalars'].items():
        assert_same(resumed.message_hub.log_scalars[key], history)
        longest = len(history.data[0])
        assert_same([data[:longest] for data in
                     runner.message_hub.log_scalars[key].data], history.data)
    for key in ('best_score', 'best_ckpt', 'val/map'):
        assert_same(
            resumed.message_hub.get_info(key), hub['runtime_info'][key])
    assert_same(resumed.optim_wrapper.state_dict(),
                runner.optim_wrapper.state_dict())
    assert_same([s.state_dict() for s in resumed.param_schedulers],
                [s.state_dict() for s in runner.param_schedulers])
    assert_same(resumed.model.state_dict(), runner.model.state_dict())


def test_resume_equals_an_unbroken_run(tmp_path):
    whole = make_runner(tmp_path / 'whole', epochs=4)
    whole.train()
    make_runner(tmp_path / 'parts').train()
    rest = make_runner(tmp_path / 'parts', epochs=4, resume=True)
    rest.train()
    assert_same(rest.model.state_dict(), whole.model.state_dict())
    for key in ('train/loss', 'train/lr'):
        assert_same(rest.message_hub.log_scalars[key],
                    whole.message_hub.log_scalars[key])


def test_best_checkpoint_is_plain(tmp_path):
    make_runner(tmp_path).train()
    best, = tmp_path.glob('best_score_*.pth')
    assert 'optimizer' not in torch.load(best, weights_only=True)


def test_loads_without_the_hook(tmp_path):
    make_runner(tmp_path).train()
    states = []
    for plain in (True, False):
        runner = make_runner(
            tmp_path, plain=plain, load_from=str(tmp_path / 'epoch_2.pth'))
        runner.call_hook('before_run')
        runner.load_or_resume()
        states.append(runner.model.state_dict())
    assert_same(*states)
    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    mean = 'layers.1.running_mean'
    assert_same(states[0][mean], saved['state_dict'][mean])


def test_takes_checkpoints_written_without_it(tmp_path):
    """Such a file loads where torch is told to trust it, and is kept."""
    make_runner(tmp_path, plain=False).train()
    checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    PlainCheckpointHook().after_load_checkpoint(None, checkpoint)
    assert checkpoint['message_hub']['log_scalars']['train/loss'] is history


@pytest.mark.gpu
def test_loss_scale_is_resumed(tmp_path):
    optim_wrapper = dict(
        type='AmpOptimWrapper', optimizer=dict(type='AdamW', lr=0.1))
    runner = make_runner(tmp_path)
    runner.optim_wrapper = runner.build_optim_wrapper(optim_wrapper)
    runner.train()
    resumed = make_runner(tmp_path, resume=True)
    resumed.optim_wrapper = resumed.build_optim_wrapper(optim_wrapper)
    resumed.train()
    assert_same(resumed.optim_wrapper.state_dict(),
                runner.optim_wrapper.state_dict())
