"""Losses."""
from .ddl_queue_loss import DDLQueueLoss
from .pair_margin_loss import PairMarginLoss
from .ssdt_loss import SSDTLoss

__all__ = ['DDLQueueLoss', 'PairMarginLoss', 'SSDTLoss']
