"""What the methods are compared with: other second views, other losses."""
from .erase_shuffle_view import EraseShuffleView
from .fresh_augment_view import FreshAugmentView
from .metric_learning_loss import MetricLearningLoss
from .pair_margin_loss import PairMarginLoss

__all__ = [
    'EraseShuffleView', 'FreshAugmentView', 'MetricLearningLoss',
    'PairMarginLoss'
]
