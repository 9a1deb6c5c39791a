"""CSDNet: a masked second view, a queue and two losses around a classifier."""
from .csd_head import CSDHead
from .ddl_queue_loss import DDLQueueLoss
from .discrepancy_mask_view import DiscrepancyMaskView
from .figures import SSDPVisualizationHook
from .loss_warmup_hook import LossWarmupHook
from .prototype_queue_loss import PrototypeQueueLoss
from .ssdp_hook import SSDPHook
from .ssdp_neck import SSDPNeck
from .ssdt_loss import SSDTLoss

__all__ = [
    'CSDHead', 'DDLQueueLoss', 'DiscrepancyMaskView', 'LossWarmupHook',
    'PrototypeQueueLoss', 'SSDPHook', 'SSDPNeck',
    'SSDPVisualizationHook', 'SSDTLoss'
]
