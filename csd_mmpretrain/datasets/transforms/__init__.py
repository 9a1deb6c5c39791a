"""Transforms of the data pipelines."""
from .corner_crop import CornerCrop

__all__ = ['CornerCrop']
