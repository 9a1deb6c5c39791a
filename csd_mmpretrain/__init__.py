"""CSDNet and other fine-grained learners for mmpretrain."""
from .version import __version__
from .version_check import check_environment

check_environment()

from . import datasets, engine, models  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'models']
