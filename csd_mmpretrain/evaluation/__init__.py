"""What predictions and features of a model are worth."""
from .clustering import ClusterAccuracy, ClusteringMetric
from .dump_predictions import DumpPredictions
from .knn import KNNAccuracy
from .knn_hook import KNNHook
from .retrieval import RetrievalMetric

__all__ = [
    'ClusterAccuracy', 'ClusteringMetric', 'DumpPredictions', 'KNNAccuracy',
    'KNNHook', 'RetrievalMetric'
]
