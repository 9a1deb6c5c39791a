"""SSDT: self-distillation between the logits of two views."""
from typing import Dict

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

DIRECTIONS = ('mutual', 'aug2raw', 'raw2aug')


def distillation(student: torch.Tensor,
                 teacher: torch.Tensor,
                 temperature: float = 3.0) -> torch.Tensor:
    r"""Distill a fixed teacher's logits into a student's.

    .. math::
        L = \tau^2 \, \mathrm{KL}\big(\mathrm{softmax}(z_t / \tau) \,\|\,
            \mathrm{softmax}(z_s / \tau)\big)

    Args:
        student (Tensor): (B, K) logits.
        teacher (Tensor): (B, K) logits, detached here.
        temperature (float): tau. Defaults to 3.0.

    Returns:
        Tensor: Scalar, the mean over the batch.

    Source: Hinton et al. 2015; that L_ssdt has this form is a choice.
    """
    return temperature**2 * F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher.detach() / temperature, dim=1),
        reduction='batchmean',
        log_target=True)


@MODELS.register_module()
class SSDTLoss(BaseModule):
    """Self-distillation between the logits of the raw and augmented view.

    Args:
        temperature (float): tau, positive. Defaults to 3.0.
        direction (str): ``'aug2raw'``: the augmented view teaches the raw
            one; ``'raw2aug'``: the reverse; ``'mutual'``: the mean of both.
            Defaults to ``'mutual'``.
        loss_weight (float): The paper's beta. Defaults to 1.0.

    Raises:
        ValueError: For a temperature that is not positive, or an unknown
            direction.

    Source: SSDT of the paper; temperature and direction are choices.

    Example:
        >>> import torch
        >>> loss = SSDTLoss(direction='raw2aug')
        >>> loss(torch.rand(4, 10), torch.rand(4, 10))['loss_ssdt'].shape
        torch.Size([])
    """

    def __init__(self,
                 temperature: float = 3.0,
                 direction: str = 'mutual',
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'SSDTLoss: temperature={temperature} divides '
                             'the logits and must be positive.')
        if direction not in DIRECTIONS:
            raise ValueError(f'SSDTLoss: unknown direction={direction!r}; '
                             f'choose one of {", ".join(DIRECTIONS)}.')
        self.temperature = temperature
        self.direction = direction
        self.loss_weight = loss_weight

    def extra_repr(self) -> str:
        return f'temperature {self.temperature}, direction {self.direction}'

    def forward(self, raw: torch.Tensor,
                augmented: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the loss of a batch, in float32.

        Args:
            raw (Tensor): (B, K) logits of the raw view.
            augmented (Tensor): (B, K) logits of the augmented view.

        Returns:
            dict: ``loss_ssdt``.
        """
        with torch.autocast(raw.device.type, enabled=False):
            raw, augmented = raw.float(), augmented.float()
            pairs = dict(
                aug2raw=[(raw, augmented)],
                raw2aug=[(augmented, raw)],
                mutual=[(raw, augmented), (augmented, raw)])[self.direction]
            losses = [
                distillation(student, teacher, self.temperature)
                for student, teacher in pairs
            ]
        return dict(loss_ssdt=self.loss_weight * sum(losses) / len(losses))
