"""ST-ProtoPNet: this part looks like that part of a training photo."""
from .branch_accuracy import BranchAccuracy
from .prototype_hook import PrototypeHook
from .st_protopnet_head import STProtoPNetHead

__all__ = ['BranchAccuracy', 'PrototypeHook', 'STProtoPNetHead']
