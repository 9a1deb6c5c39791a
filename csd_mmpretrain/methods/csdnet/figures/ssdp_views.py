"""The second views that a drawing shows."""
from typing import Any, Dict, Optional, Sequence

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    MODES,
    DiscrepancyMaskView,
)
from csd_mmpretrain.utils.hook_settings import hook_settings

ALL = 'all'


def config_view(cfg: Config) -> Any:
    """Build the view of a config's SSDPHook.

    Args:
        cfg (Config): The whole config.

    Returns:
        Callable: The view; a ``DiscrepancyMaskView`` with its defaults, if
        the config has no SSDPHook.
    """
    view = hook_settings(cfg, 'SSDPHook').get('view') or dict(
        type='DiscrepancyMaskView')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(view)


def choose_views(view: Any,
                 modes: Optional[Sequence[str]] = None) -> Dict[str, Any]:
    """Name the second views to draw.

    Args:
        view (Callable): That of the training.
        modes (Sequence[str], optional): Modes of ``DiscrepancyMaskView``, or
            ``'all'``; threshold and area are those of ``view``, where it has
            them. Defaults to None, ``view`` itself.

    Returns:
        dict: Views by their mode, or by their class where they have none.

    Raises:
        ValueError: If a mode is unknown.

    Example:
        >>> list(choose_views(DiscrepancyMaskView(), ['keep', 'crop']))
        ['keep', 'crop']
    """
    if modes is None:
        return {getattr(view, 'mode', type(view).__name__): view}
    settings = {}
    if isinstance(view, DiscrepancyMaskView):
        settings = dict(threshold=view.threshold, area=view.area)
    return {mode: DiscrepancyMaskView(mode, **settings)
            for mode in (MODES if ALL in modes else modes)}
