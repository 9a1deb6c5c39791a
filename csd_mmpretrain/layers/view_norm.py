"""How batch norm treats a second view of the batch."""
from contextlib import contextmanager
from typing import Iterator, List

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

NORMS = ('shared', 'batch', 'frozen')


def active_batch_norms(module: nn.Module) -> List[nn.Module]:
    """Find the batch norms that would update their running statistics."""
    return [
        layer for layer in module.modules() if isinstance(layer, _BatchNorm)
        and layer.training and layer.track_running_stats
    ]


@contextmanager
def view_norm(module: nn.Module, norm: str) -> Iterator[None]:
    """Let batch norm treat a forward pass as that of a second view.

    Args:
        module (nn.Module): The backbone, in training.
        norm (str): ``'shared'``: as in any pass. ``'batch'``: normalize by
            the batch, but keep the running statistics as they are.
            ``'frozen'``: normalize by the running statistics and keep them.
            The layers' weights are trained in all three.

    Example:
        ::

            with view_norm(backbone, 'batch'):
                features = backbone(second_view)
    """
    layers = [] if norm == 'shared' else active_batch_norms(module)
    flag = 'training' if norm == 'frozen' else 'track_running_stats'
    # SyncBatchNorm in half precision does not run without statistics.
    synced = {
        layer: dict(layer._buffers) for layer in layers
        if norm == 'batch' and isinstance(layer, nn.SyncBatchNorm)
    }
    for layer in layers:
        if layer in synced:
            layer._buffers.update(
                {name: x.clone() for name, x in synced[layer].items()})
        else:
            setattr(layer, flag, False)
    try:
        yield
    finally:
        for layer in layers:
            layer._buffers.update(synced.get(layer, {}))
            setattr(layer, flag, True)
