"""What predictions and features of a model are worth."""
from .knn_accuracy import KNNAccuracy
from .retrieval_metric import RetrievalMetric

__all__ = ['KNNAccuracy', 'RetrievalMetric']
