"""EPIC: prototypes for a classifier that is already trained."""
from .disentanglement_matrix import DisentanglementMatrix

__all__ = ['DisentanglementMatrix']
