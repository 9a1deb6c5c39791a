"""Command-line options that many tools have."""
from argparse import ArgumentParser

import torch
from mmengine.config import DictAction


def add_cfg_options(parser: ArgumentParser) -> None:
    """Add ``--cfg-options``, as in mmpretrain's tools.

    Args:
        parser (ArgumentParser): The tool's.

    Example:
        >>> from argparse import ArgumentParser
        >>> parser = ArgumentParser()
        >>> add_cfg_options(parser)
        >>> parser.parse_args(['--cfg-options', 'train_cfg.max_epochs=2'])
        Namespace(cfg_options={'train_cfg.max_epochs': 2})
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config')


def add_device(parser: ArgumentParser) -> None:
    """Add ``--device``, a GPU by default, where there is one.

    Args:
        parser (ArgumentParser): The tool's.
    """
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu or cuda; a GPU by default, where there is one')
