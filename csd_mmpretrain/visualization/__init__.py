"""Drawing shared by the tools."""
from .ssdp_figure import draw_ssdp_figure
from .ssdp_rows import SSDPRow, ssdp_rows

__all__ = ['SSDPRow', 'draw_ssdp_figure', 'ssdp_rows']
