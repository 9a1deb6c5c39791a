"""I-JEPA and DSeq-JEPA: hidden patches predicted from seen ones."""
from .block_targets import BlockTargets
from .jepa import JEPA
from .jepa_hook import JEPAHook
from .predictor import JEPAPredictor
from .region_targets import RegionTargets
from .region_visualization_hook import RegionVisualizationHook

__all__ = [
    'JEPA', 'BlockTargets', 'JEPAHook', 'JEPAPredictor', 'RegionTargets',
    'RegionVisualizationHook'
]
