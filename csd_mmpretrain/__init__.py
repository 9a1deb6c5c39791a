"""CSDNet and other fine-grained learners for mmpretrain."""
import warnings

from .version import __version__
from .version_check import check_environment

warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
# Each time: without weights a model predicts at random.
warnings.filterwarnings('always', 'Unable to find pre-defined checkpoint')
# mmcv-lite advises mmcv for an op that no classifier uses.
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformable')
check_environment()

from . import (  # noqa: E402
    datasets,
    evaluation,
    hooks,
    layers,
    methods,
    runtime,
)
from .runtime.model_hub import register_models  # noqa: E402

register_models()

__all__ = [
    '__version__', 'datasets', 'evaluation', 'hooks', 'layers', 'methods',
    'runtime'
]
