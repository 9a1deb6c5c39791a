"""Files of a trained classifier that run without this package."""
from .deployed_classifier import DeployedClassifier
from .export_check import ExportCheck, check_export
from .export_files import (
    FORMATS,
    export_classifier,
    export_info,
    load_export,
)

__all__ = [
    'FORMATS', 'DeployedClassifier', 'ExportCheck', 'check_export',
    'export_classifier', 'export_info', 'load_export'
]
