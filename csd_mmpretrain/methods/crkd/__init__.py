"""Cr-KD: classes among unlabelled photos, with the help of known ones."""
from .multi_view_preprocessor import MultiViewDataPreprocessor
from .ncd_head import NCDHead
from .novel_class_discovery import NovelClassDiscovery
from .novel_discovery_hook import NovelDiscoveryHook

__all__ = [
    'MultiViewDataPreprocessor', 'NCDHead', 'NovelClassDiscovery',
    'NovelDiscoveryHook'
]
