"""Hooks: the second view, checkpoints that load anywhere, checks, summary."""
from .channels_last_hook import ChannelsLastHook
from .checkpoint_match_hook import CheckpointMatchHook
from .collapse_check_hook import CollapseCheckHook
from .dataset_check_hook import DatasetCheckHook
from .exact_resume_hook import ExactResumeHook
from .finite_check_hook import FiniteCheckHook
from .frozen_parts_hook import FrozenPartsHook
from .image_cache_hook import ImageCacheHook
from .keep_memory_hook import KeepMemoryHook
from .knn_hook import KNNHook
from .loss_warmup_hook import LossWarmupHook
from .plain_checkpoint_hook import PlainCheckpointHook
from .run_summary_hook import RunSummaryHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .self_distillation_hook import SelfDistillationHook
from .setup_check_hook import SetupCheckHook
from .ssdp_hook import SSDPHook
from .ssdp_visualization_hook import SSDPVisualizationHook

__all__ = [
    'ChannelsLastHook',
    'CheckpointMatchHook',
    'CollapseCheckHook',
    'DatasetCheckHook',
    'ExactResumeHook',
    'FiniteCheckHook',
    'FrozenPartsHook',
    'ImageCacheHook',
    'KNNHook',
    'KeepMemoryHook',
    'LossWarmupHook',
    'PlainCheckpointHook',
    'RunSummaryHook',
    'SSDPHook',
    'SSDPVisualizationHook',
    'SafeCheckpointHook',
    'SelfDistillationHook',
    'SetupCheckHook',
]
