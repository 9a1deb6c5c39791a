"""Self-supervised models."""
from .cmd import CMD

__all__ = ['CMD']
