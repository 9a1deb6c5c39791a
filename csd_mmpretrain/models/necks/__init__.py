"""Necks."""
from .cmd_neck import CMDNeck
from .last_blocks_neck import LastBlocksNeck
from .ssdp_neck import SSDPNeck

__all__ = ['CMDNeck', 'LastBlocksNeck', 'SSDPNeck']
