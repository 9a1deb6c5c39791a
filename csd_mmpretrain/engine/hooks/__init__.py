"""Hooks: the second view, checkpoints that load anywhere, checks, summary."""
from .channels_last_hook import ChannelsLastHook
from .loss_warmup_hook import LossWarmupHook
from .ssdp_hook import SSDPHook

__all__ = ['ChannelsLastHook', 'LossWarmupHook', 'SSDPHook']
