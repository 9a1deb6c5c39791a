"""What predictions and features of a model are worth."""
from .knn import KNNAccuracy
from .knn_hook import KNNHook
from .retrieval import RetrievalMetric

__all__ = ['KNNAccuracy', 'KNNHook', 'RetrievalMetric']
