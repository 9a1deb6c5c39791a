"""From a config to a run: launch, options, precision, checks, summary."""
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .block_fsdp_strategy import BlockFSDPStrategy
from .short_log_runner import ShortLogRunner

__all__ = ['BFloat16OptimWrapper', 'BlockFSDPStrategy', 'ShortLogRunner']
