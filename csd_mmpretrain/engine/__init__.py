"""Hooks and optimizer wrappers of mmengine's runner."""
from .block_fsdp_strategy import BlockFSDPStrategy  # noqa: F401
from .hooks import *  # noqa: F401,F403
from .optim import *  # noqa: F401,F403
