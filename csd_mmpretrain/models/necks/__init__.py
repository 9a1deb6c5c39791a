"""Necks."""
from .ssdp_neck import SSDPNeck

__all__ = ['SSDPNeck']
