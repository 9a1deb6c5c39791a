"""What the methods are compared with: other second views, other losses."""
from .metric_learning_loss import MetricLearningLoss
from .pair_margin_loss import PairMarginLoss
from .random_views import EraseShuffleView, FreshAugmentView

__all__ = [
    'EraseShuffleView', 'FreshAugmentView', 'MetricLearningLoss',
    'PairMarginLoss'
]
