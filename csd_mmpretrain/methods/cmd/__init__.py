"""CMD: self-supervised distillation across images and their patches."""
from .bag_aggregator import BagAggregator, GatedAttentionBag, MeanBag
from .cmd import CMD
from .cmd_head import CMDHead
from .cmd_neck import CMDNeck
from .collapse_check_hook import CollapseCheckHook
from .self_distillation_hook import SelfDistillationHook

__all__ = [
    'CMD', 'BagAggregator', 'CMDHead', 'CMDNeck', 'CollapseCheckHook',
    'GatedAttentionBag', 'MeanBag', 'SelfDistillationHook'
]
