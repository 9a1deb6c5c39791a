"""The teacher: average, modes, gradient, state dicts of a student alone."""
import copy

import pytest
import torch
from torch import nn

from csd_mmpretrain.layers.ema_teacher import EMATeacher


def make_student():
    return dict(
        backbone=nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)),
        neck=nn.Linear(4, 2, bias=False))


class Model(nn.Module):

    def __init__(self):
        super().__init__()
        parts = make_student()
        self.backbone, self.neck = parts['backbone'], parts['neck']
        self.head = nn.Linear(2, 2)
        self.teacher = EMATeacher(self.student())
        self._register_load_state_dict_pre_hook(self._complete)

    def student(self):
        return dict(backbone=self.backbone, neck=self.neck)

    def _complete(self, state_dict, prefix, *_):
        self.teacher.complete(state_dict, prefix)


@pytest.mark.parametrize('momentum', [0., 0.3, 0.996, 1.])
def test_update_is_the_average_of_each_parameter(momentum):
    student = make_student()
    teacher = EMATeacher(student)
    for part in student.values():
        for parameter in part.parameters():
            nn.init.normal_(parameter)
    before = copy.deepcopy(teacher.state_dict())
    teacher.follow(student, momentum)
    new = nn.ModuleDict(student).state_dict()
    learnt = dict(teacher.named_parameters())
    for name, value in teacher.state_dict().items():
        expected = before[name]
        if name in learnt:
            expected = momentum * before[name] + (1 - momentum) * new[name]
        torch.testing.assert_close(value, expected)


def test_the_student_alone_gets_gradients_and_no_memory_is_shared():
    student = make_student()
    teacher = EMATeacher(student)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for part in student.values()
               for p in part.parameters())
    student['neck'].weight.data.zero_()
    assert teacher['neck'].weight.abs().sum() > 0
    teacher.restart(student)
    assert teacher['neck'].weight.abs().sum() == 0


@pytest.mark.parametrize('frozen', [False, True])
def test_modes_follow_the_batch_norms_alone(frozen):
    student = make_student()
    teacher = EMATeacher(student)
    for part in student.values():
        part.train()
    student['backbone'][1].train(not frozen)
    teacher.follow_mode(student)
    linear, norm, dropout = teacher['backbone']
    assert norm.training != frozen
    assert not dropout.training and not linear.training


def test_weights_of_a_student_alone_fill_both():
    source, model = Model(), Model()
    alone = {name: value for name, value in source.state_dict().items()
             if not name.startswith('teacher.')}
    wrapped = nn.ModuleDict(dict(inner=model))
    wrapped.load_state_dict({f'inner.{k}': v for k, v in alone.items()})
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, alone[name])


def test_a_teacher_in_the_weights_is_kept():
    source, model = Model(), Model()
    with torch.no_grad():
        source.teacher['neck'].weight.fill_(7.)
    model.load_state_dict(source.state_dict())
    assert (model.teacher['neck'].weight == 7).all()
    assert not (model.neck.weight == 7).all()
