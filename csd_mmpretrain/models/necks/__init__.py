"""Necks."""
from .cmd_neck import CMDNeck
from .ssdp_neck import SSDPNeck

__all__ = ['CMDNeck', 'SSDPNeck']
