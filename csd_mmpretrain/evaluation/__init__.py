"""What predictions and features of a model are worth."""
from .knn_accuracy import KNNAccuracy
from .knn_hook import KNNHook
from .retrieval_metric import RetrievalMetric

__all__ = ['KNNAccuracy', 'KNNHook', 'RetrievalMetric']
