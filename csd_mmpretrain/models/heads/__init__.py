"""Heads."""
from .csd_head import CSDHead

__all__ = ['CSDHead']
