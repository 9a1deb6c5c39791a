"""Losses."""
from .ddl_queue_loss import DDLQueueLoss
from .metric_learning_loss import MetricLearningLoss
from .pair_margin_loss import PairMarginLoss
from .ssdt_loss import SSDTLoss

__all__ = ['DDLQueueLoss', 'MetricLearningLoss', 'PairMarginLoss', 'SSDTLoss']
