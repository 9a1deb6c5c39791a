"""Any loss of pytorch-metric-learning between the features of two views."""
import inspect
from types import ModuleType
from typing import Dict

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn

from csd_mmpretrain.utils.wording import first_names

# Base classes, losses that take no labels, and one that wants equally many
# images of each class.
UNFIT = ('BaseMetricLossFunction', 'GenericPairLoss', 'ManifoldLoss',
         'VICRegLoss', 'SmoothAPLoss')


def _import_losses() -> ModuleType:
    try:
        from pytorch_metric_learning import losses
    except ImportError as error:
        raise ImportError(
            'MetricLearningLoss needs pytorch-metric-learning: '
            'pip install "csd_mmpretrain[bench]".') from error
    return losses


def _build(loss: dict) -> nn.Module:
    losses = _import_losses()
    known = {
        name: cls
        for name, cls in inspect.getmembers(losses, inspect.isclass)
        if issubclass(cls, losses.BaseMetricLossFunction)
        and name not in UNFIT
    }
    arguments = dict(loss)
    name = arguments.pop('type', None)
    if name not in known:
        raise ValueError(
            f'MetricLearningLoss: unknown loss type={name!r}; choose one of '
            f'{", ".join(known)}.')
    parts = [key for key, value in arguments.items()
             if isinstance(value, dict)]
    if parts:
        raise ValueError(
            f'MetricLearningLoss: {name} got {first_names(parts, 3)} as a '
            'dict, but it takes an object there, which a config cannot give. '
            'Leave it out, or register a loss of your own for the `ddl` '
            'slot.')
    try:
        return known[name](**arguments)
    except Exception as error:
        raise ValueError(
            f'MetricLearningLoss: {name} of pytorch-metric-learning does not '
            f'take loss={dict(loss)}: {error!r}. Its arguments are '
            f'{inspect.signature(known[name])}.') from error


@MODELS.register_module()
class MetricLearningLoss(BaseModule):
    """A loss of pytorch-metric-learning, for the ``ddl`` slot of CSDHead.

    The loss sees the features of all views of the batch as one batch, with
    the images' labels. It has no queue: pairs are those of the batch of one
    process. What a batch without pairs gives is the library's choice;
    ``SupConLoss`` gives 0 where all images are of one class. Computed in
    float32, with the library's own selection of pairs, which waits for the
    device.

    Args:
        loss (dict): ``type``, the name of a loss function in
            ``pytorch_metric_learning.losses``, and its arguments. Those that
            wrap another loss (``CrossBatchMemory``, ``MultipleLosses``),
            take no labels (``VICRegLoss``, ``ManifoldLoss``) or want equally
            many images of each class (``SmoothAPLoss``) do not fit.
        loss_weight (float): Defaults to 1.0.

    Attributes:
        metric (str): Name of the loss, for the log.

    Raises:
        ImportError: If pytorch-metric-learning is missing.
        ValueError: For an unknown loss, or arguments that it does not take.

    Source: Musgrave et al. 2020, PyTorch Metric Learning; ``SupConLoss`` is
    L_out of Khosla et al. 2020, Supervised Contrastive Learning.

    Example:
        ::

            head=dict(
                type='CSDHead', cls_head=...,
                ddl=dict(
                    type='MetricLearningLoss',
                    loss=dict(type='SupConLoss', temperature=0.1)))
    """

    def __init__(self, loss: dict, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss = _build(loss)
        self.metric = loss['type']
        self.loss_weight = loss_weight

    def forward(self, views: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            views (Tensor): (V, B, C), the features of V views.
            labels (Tensor): (B, ), int64.

        Returns:
            dict: ``loss_metric``.
        """
        with torch.autocast(views.device.type, enabled=False):
            loss = self.loss(views.float().flatten(0, 1),
                             labels.repeat(len(views)))
        return dict(loss_metric=self.loss_weight * loss)
