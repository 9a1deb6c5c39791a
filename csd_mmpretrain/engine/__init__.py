"""Hooks of mmengine's runner."""
from .hooks import *  # noqa: F401,F403
