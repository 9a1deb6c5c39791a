"""What the methods are compared with: other views, losses and starts."""
from .imprint_hook import ImprintHook
from .metric_learning_loss import MetricLearningLoss
from .pair_margin_loss import PairMarginLoss
from .random_views import EraseShuffleView, FreshAugmentView

__all__ = [
    'EraseShuffleView', 'FreshAugmentView', 'ImprintHook',
    'MetricLearningLoss', 'PairMarginLoss'
]
