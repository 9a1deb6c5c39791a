"""Tests of LossWarmupHook."""
from types import SimpleNamespace

import pytest

from csd_mmpretrain.methods.csdnet.loss_warmup_hook import LossWarmupHook


def runner_with(**losses):
    return SimpleNamespace(
        iter=0,
        train_dataloader=range(4),
        model=SimpleNamespace(head=SimpleNamespace(**losses)))


def test_weights_rise_linearly_and_stay():
    ddl = SimpleNamespace(loss_weight=2.)
    ssdt = SimpleNamespace(loss_weight=0.5)
    runner = runner_with(contrast=ddl, distill=ssdt)
    hook = LossWarmupHook(epochs=2)
    hook.before_train(runner)
    seen = []
    for runner.iter in range(10):
        hook.before_train_iter(runner, 0)
        seen.append((ddl.loss_weight, ssdt.loss_weight))
    expected = [min(1, (i + 1) / 8) for i in range(10)]
    assert seen == [(2. * e, 0.5 * e) for e in expected]
    hook.after_train(runner)
    assert (ddl.loss_weight, ssdt.loss_weight) == (2., 0.5)


def test_a_resumed_run_goes_on():
    ddl = SimpleNamespace(loss_weight=2.)
    runner = runner_with(contrast=ddl, distill=None)
    hook = LossWarmupHook(epochs=2)
    hook.before_train(runner)
    runner.iter = 3
    hook.before_train_iter(runner, 0)
    assert ddl.loss_weight == 1.


def test_needs_a_loss_to_warm_up():
    with pytest.raises(TypeError, match='neither `contrast` nor `distill`'):
        LossWarmupHook().before_train(runner_with(contrast=None))
    with pytest.raises(ValueError, match='epochs=0'):
        LossWarmupHook(epochs=0)
