import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from csd_mmpretrain.runtime.periodic_hook import PeriodicHook


class LookHook(PeriodicHook):
    """Notes when it looks, and disturbs all that it can."""

    tool = 'tools/look.py'

    def prepare(self, runner):
        self.steps = []
        draw()

    def look(self, runner, step):
        self.steps.append((step, runner.model.weight.item()))
        runner.model.eval()
        draw()


def draw():
    return torch.rand(1).item(), np.random.rand(), random.random()


def seed():
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def make_runner(loop, rank=0, hooks=()):
    runner = SimpleNamespace(
        model=nn.Linear(1, 1), rank=rank, epoch=0, iter=0, hooks=list(hooks),
        max_epochs=5, max_iters=5, train_loop=loop.__new__(loop))
    nn.init.zeros_(runner.model.weight)
    return runner


def train(hook, runner):
    """Five epochs of one iteration each."""
    hook.before_train(runner)
    for _ in range(5):
        hook.after_train_iter(runner, 0)
        hook.after_train_epoch(runner)
        runner.epoch += 1
        runner.iter += 1


@pytest.mark.parametrize('loop', [EpochBasedTrainLoop, IterBasedTrainLoop])
@pytest.mark.parametrize('looks_last, steps', [(False, [0, 2, 4]),
                                               (True, [0, 2, 4, 5])])
@pytest.mark.parametrize('rank, main_only', [(0, True), (1, True), (1, False)])
def test_looks_leave_no_trace(loop, looks_last, steps, rank, main_only):
    hook, runner = LookHook(interval=2), make_runner(loop, rank)
    hook.looks_last, hook.main_process_only = looks_last, main_only
    seed()
    expected = draw()
    seed()
    train(hook, runner)
    assert draw() == expected
    assert runner.model.training
    if rank and main_only:
        assert not hasattr(hook, 'steps')
    else:
        assert [step for step, _ in hook.steps] == steps


def test_a_resumed_run_does_not_look_at_the_start():
    hook, runner = LookHook(interval=2), make_runner(EpochBasedTrainLoop)
    runner.epoch = runner.iter = 1
    train(hook, runner)
    assert [step for step, _ in hook.steps] == [2, 4, 6]


def test_averages_are_looked_at():
    ema = EMAHook()
    hook, runner = LookHook(), make_runner(EpochBasedTrainLoop, hooks=[ema])
    ema.before_run(runner)
    ema.ema_model.steps += 1
    nn.init.ones_(ema.ema_model.module.weight)
    hook.before_train(runner)
    assert hook.steps == [(0, 1.)] and runner.model.weight == 0


def test_what_is_refused():
    with pytest.raises(ValueError, match='LookHook: interval=0'):
        LookHook(interval=0)
    runner = make_runner(EpochBasedTrainLoop)
    runner.model = nn.Sequential(
        FullyShardedDataParallel.__new__(FullyShardedDataParallel))
    nn.Module.__init__(runner.model[0])
    with pytest.raises(ValueError, match='LookHook .*FSDP.*tools/look.py'):
        LookHook().before_train(runner)
