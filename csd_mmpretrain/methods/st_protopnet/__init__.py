"""ST-ProtoPNet: classifying by parts that look like parts of training photos.
"""
from .branch_accuracy import BranchAccuracy
from .prototype_hook import PrototypeHook
from .st_protopnet_head import STProtoPNetHead

__all__ = ['BranchAccuracy', 'PrototypeHook', 'STProtoPNetHead']
