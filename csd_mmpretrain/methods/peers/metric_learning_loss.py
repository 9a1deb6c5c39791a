"""Any loss of pytorch-metric-learning between the features of two views."""
import inspect
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


def _build(loss: dict) -> nn.Module:
    try:
        from pytorch_metric_learning import __version__, losses
    except ImportError as error:
        raise ImportError(
            'MetricLearningLoss needs pytorch-metric-learning: '
            'pip install "csd_mmpretrain[bench]".') from error
    if __version__.partition('.')[0] != '2':
        raise ImportError(
            f'MetricLearningLoss: pytorch-metric-learning {__version__} is '
            'installed, but 2.0 to 2.9 are tested, and 3.0 means other things '
            "by the same arguments, such as ArcFace's margin: pip install "
            '"csd_mmpretrain[bench]".')
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
            'Leave it out, or register a loss of your own for the `contrast` '
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
    """A loss of pytorch-metric-learning, for the ``contrast`` slot of CSDHead.

    The loss gets the features of all views of a process's batch as one batch,
    with the images' labels, in float32. Of a batch of one class,
    ``SupConLoss`` gives 0. The library's selection of pairs waits for the
    device.

    Args:
        loss (dict): ``type``, of ``pytorch_metric_learning.losses``, and its
            arguments. Losses that wrap another (``CrossBatchMemory``), take
            no labels (``VICRegLoss``) or want equally many images of each
            class (``SmoothAPLoss``) do not fit.
        loss_weight (float): Defaults to 1.0.

    Raises:
        ImportError: If pytorch-metric-learning 2 is missing.
        ValueError: For an unknown loss, or arguments that it does not take.

    Source: Musgrave et al. 2020, PyTorch Metric Learning; ``SupConLoss`` is
    L_out of Khosla et al. 2020, Supervised Contrastive Learning.

    Example:
        ::

            head=dict(
                type='CSDHead', cls_head=...,
                contrast=dict(
                    type='MetricLearningLoss',
                    loss=dict(type='SupConLoss', temperature=0.1)))
    """

    def __init__(self, loss: dict, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss = _build(loss)
        self.metric = loss['type']
        self.loss_weight = loss_weight

    def extra_repr(self) -> str:
        return f'metric {self.metric}'

    def forward(self, views: torch.Tensor,
                labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Compute ``loss_metric`` of features (V, B, C) and labels (B, )."""
        with torch.autocast(views.device.type, enabled=False):
            loss = self.loss(views.float().flatten(0, 1),
                             labels.repeat(len(views)))
        return dict(loss_metric=self.loss_weight * loss)
