"""The momentum of a teacher over a training."""
import math
from types import SimpleNamespace

import pytest
from torch import nn

from csd_mmpretrain.hooks.ema_teacher_hook import EMATeacherHook, cosine


class Student(nn.Module):

    def __init__(self):
        super().__init__()
        self.momenta = []

    def update_teacher(self, momentum):
        self.momenta.append(momentum)


def run(hook, model, steps, updates=None):
    runner = SimpleNamespace(model=model, iter=0, max_iters=steps)
    runner.optim_wrapper = SimpleNamespace(
        should_update=lambda: updates is None or runner.iter in updates)
    hook.before_train(runner)
    for runner.iter in range(steps):
        hook.after_train_iter(runner, runner.iter)
    return model.momenta


def test_momentum_on_half_a_cosine():
    momenta = run(EMATeacherHook(0.9, 1.), Student(), 5)
    assert momenta == pytest.approx(
        [1 - 0.1 * (1 + math.cos(math.pi * i / 5)) / 2 for i in range(5)])
    assert run(EMATeacherHook(0.5, 0.5), Student(), 3) == [0.5] * 3


def test_the_teacher_moves_with_the_optimizer_alone():
    momenta = run(EMATeacherHook(), Student(), 4, updates=(1, 3))
    assert momenta == [cosine(0.996, 1., 1 / 4), cosine(0.996, 1., 3 / 4)]


@pytest.mark.parametrize('name', ['momentum', 'end_momentum'])
@pytest.mark.parametrize('value', [-0.1, 1.1])
def test_a_momentum_outside_is_refused(name, value):
    with pytest.raises(ValueError, match=rf'{name}={value}.*\[0, 1\]'):
        EMATeacherHook(**{name: value})


def test_a_model_without_a_teacher_is_refused():
    with pytest.raises(TypeError, match='Linear has no `update_teacher`'):
        run(EMATeacherHook(), nn.Linear(1, 1), 1)
