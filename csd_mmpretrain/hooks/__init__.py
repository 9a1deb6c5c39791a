"""Hooks for any training: checks, exact resume, checkpoints, memory."""
from .channels_last_hook import ChannelsLastHook
from .checkpoint_match_hook import CheckpointMatchHook
from .dataset_check_hook import DatasetCheckHook
from .ema_teacher_hook import EMATeacherHook
from .exact_resume_hook import ExactResumeHook
from .finite_check_hook import FiniteCheckHook
from .frozen_parts_hook import FrozenPartsHook
from .image_cache_hook import ImageCacheHook
from .keep_memory_hook import KeepMemoryHook
from .plain_checkpoint_hook import PlainCheckpointHook
from .run_summary_hook import RunSummaryHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .setup_check_hook import SetupCheckHook

__all__ = [
    'ChannelsLastHook', 'CheckpointMatchHook', 'DatasetCheckHook',
    'EMATeacherHook', 'ExactResumeHook', 'FiniteCheckHook', 'FrozenPartsHook',
    'ImageCacheHook', 'KeepMemoryHook', 'PlainCheckpointHook',
    'RunSummaryHook', 'SafeCheckpointHook', 'SetupCheckHook'
]
