"""A runner whose log a person can read from its start."""
import logging
import re
from typing import Any, Union

from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

COMPILED = re.compile(r'\n *PyTorch compiling details:.*?(?=\n *TorchVision)',
                      re.S)
LEFT_OUT = re.compile(
    r'Config:\n|Hooks will be executed|paramwise_options|'
    r'Distributed training is not used|\S+ is skipped since|'
    r'\s*\S+ - torch.Size\(.*\): |'
    r'"(FileClient|HardDiskBackend)" ')


@RUNNERS.register_module()
class ShortLogRunner(Runner):
    """mmengine's ``Runner`` with a log that starts with what matters.

    The config is left out, which is saved beside the log, and so are the
    order of the hooks, how single parameters are initialized and trained, and
    how torch was compiled. ``log_level='DEBUG'`` keeps them.

    Example:
        >>> runner_type = 'ShortLogRunner'
    """

    def build_logger(self,
                     log_level: Union[int, str] = 'INFO',
                     **kwargs: Any) -> MMLogger:
        return short_log(super().build_logger(log_level, **kwargs), log_level)


def short_log(logger: MMLogger, log_level: Union[int, str]) -> MMLogger:
    """Shorten what a run's logger writes, unless at the level DEBUG.

    Args:
        logger (MMLogger): The logger; it is changed in place.
        log_level (int | str): Its level.

    Returns:
        MMLogger: The same logger.
    """
    if log_level not in ('DEBUG', logging.DEBUG):
        logger.addFilter(_shorten)
        for handler in logger.handlers[:]:
            if isinstance(handler, logging.FileHandler):
                _keep_from_modules(logger, handler)
    return logger


def _keep_from_modules(logger: MMLogger,
                       handler: logging.FileHandler) -> None:
    """Let a file take log records alone.

    Past all filters, ``BaseModule`` writes how each parameter is initialized
    into the files of a ``FileHandler``.
    """
    file = logging.StreamHandler(handler.stream)
    file.setLevel(handler.level)
    file.setFormatter(handler.formatter)
    logger.removeHandler(handler)
    logger.addHandler(file)


def _shorten(record: logging.LogRecord) -> bool:
    record.msg = COMPILED.sub('', str(record.msg))
    return not LEFT_OUT.match(record.msg)
