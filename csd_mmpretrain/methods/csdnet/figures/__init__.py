"""What SSDP sees and what the queue holds, drawn."""
from .ssdp_visualization_hook import SSDPVisualizationHook

__all__ = ['SSDPVisualizationHook']
