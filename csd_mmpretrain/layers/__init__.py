"""What networks are built of, whatever the method."""
from .block_means_neck import BlockMeansNeck
from .bounded_arcface_cls_head import BoundedArcFaceClsHead
from .feature_map import to_feature_map, to_tokens
from .feature_queue import FeatureQueue
from .last_blocks_neck import LastBlocksNeck

__all__ = [
    'BlockMeansNeck', 'BoundedArcFaceClsHead', 'FeatureQueue',
    'LastBlocksNeck', 'to_feature_map', 'to_tokens'
]
