"""mmengine without the formatting of configs.

yapf takes a third of a second each time that a config is logged, dumped or
kept in a checkpoint, which is a good part of a short training.
"""
from mmengine.config import config

config.FormatCode = lambda code, **_: (code, True)
