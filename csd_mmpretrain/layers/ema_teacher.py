"""A teacher that is the moving average of its student."""
from copy import deepcopy
from typing import Mapping

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMATeacher(nn.ModuleDict):
    r"""Copies of a student's parts that follow it slowly.

    :math:`t \leftarrow m t + (1 - m) s`. Its parameters get no gradient.
    Nothing is dropped in it, whatever the student's mode. Its batch norms do
    as the student's: in training they normalize by the batch and keep running
    statistics of their own.

    Args:
        student (Mapping[str, nn.Module]): The student's parts by name, which
            are copied.

    Source: mean teachers (Tarvainen and Valpola 2017), as in MoCo and DINO.

    Example:
        >>> import torch
        >>> student = dict(backbone=torch.nn.Linear(2, 2))
        >>> teacher = EMATeacher(student)
        >>> teacher.follow(student, momentum=0.996)
        >>> teacher['backbone'](torch.ones(1, 2)).requires_grad
        False
    """

    def __init__(self, student: Mapping[str, nn.Module]) -> None:
        super().__init__(deepcopy(dict(student)))
        self.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, BaseModule):
                module.init_cfg = None  # it starts as the student does

    def restart(self, student: Mapping[str, nn.Module]) -> None:
        """Make the teacher equal to its student.

        Args:
            student (Mapping[str, nn.Module]): The parts, initialized.
        """
        self.load_state_dict(nn.ModuleDict(student).state_dict())

    @torch.no_grad()
    def follow(self, student: Mapping[str, nn.Module],
               momentum: float) -> None:
        """Move the parameters towards the student's.

        Args:
            student (Mapping[str, nn.Module]): The parts.
            momentum (float): m, the fraction of the teacher's own weights in
                the new ones: 1 leaves it as it is.
        """
        get_ema_multi_avg_fn(momentum)(
            list(self.parameters()),
            list(nn.ModuleDict(student).parameters()), None)

    def follow_mode(self, student: Mapping[str, nn.Module]) -> None:
        """Drop nothing, and let batch norms do as the student's.

        Args:
            student (Mapping[str, nn.Module]): The parts, in their mode.
        """
        self.eval()
        for own, other in zip(self.modules(),
                              nn.ModuleDict(student).modules()):
            if isinstance(own, _BatchNorm):
                own.train(other.training)

    def complete(self, state_dict: dict, prefix: str) -> None:
        """Let weights of a student alone fill the teacher, too.

        For a load-state-dict pre-hook of the model whose ``teacher`` this is.

        Args:
            state_dict (dict): Weights by name; changed in place.
            prefix (str): What is before the names of the model.
        """
        if any(key.startswith(f'{prefix}teacher.') for key in state_dict):
            return
        for key in list(state_dict):
            name = key[len(prefix):]
            if key.startswith(prefix) and name.split('.')[0] in self:
                state_dict[f'{prefix}teacher.{name}'] = state_dict[key]
