"""Heads."""
from .cmd_head import CMDHead
from .csd_head import CSDHead

__all__ = ['CMDHead', 'CSDHead']
