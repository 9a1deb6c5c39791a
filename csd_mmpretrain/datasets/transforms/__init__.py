"""Transforms of the data pipelines."""
from .box_crop import BoxCrop
from .corner_crop import CornerCrop

__all__ = ['BoxCrop', 'CornerCrop']
