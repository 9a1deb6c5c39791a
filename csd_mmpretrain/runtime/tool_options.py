"""Command-line options that several tools share."""
import os
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Optional, Sequence

import torch
from mmengine.config import DictAction

TABLES = ('.md', '.csv')
PLOTS = ('.png', '.pdf', '.svg', '.svgz', '.jpg', '.jpeg', '.eps', '.ps',
         '.tif', '.tiff', '.webp')


def add_cfg_options(parser: ArgumentParser) -> None:
    """Add ``--cfg-options``, as in mmpretrain's tools.

    Args:
        parser (ArgumentParser): The tool's.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config, such as train_cfg.max_epochs=2; '
        'a list is written "key=[a,b]" or key=a,b')


def add_weights(parser: ArgumentParser) -> None:
    """Add ``--weights``, a file that must exist.

    Args:
        parser (ArgumentParser): The tool's.
    """
    parser.add_argument(
        '--weights',
        type=_weights_file,
        metavar='FILE',
        help='pretrained weights for the backbone, in place of those that '
        'the config names')


def add_device(parser: ArgumentParser,
               choices: Optional[Sequence[str]] = None) -> None:
    """Add ``--device``, by default a GPU if there is one.

    Args:
        parser (ArgumentParser): The tool's.
        choices (Sequence[str], optional): Allowed devices, such as
            ``('cpu', 'cuda')``. Defaults to None, any that torch knows.
    """
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        choices=choices,
        help='cpu or cuda; by default a GPU if there is one')


def add_dpi(parser: ArgumentParser, default: int = 200) -> None:
    """Add ``--dpi``, the pixels per inch of a figure.

    Args:
        parser (ArgumentParser): The tool's.
        default (int): Without the option. Defaults to 200.
    """
    parser.add_argument(
        '--dpi',
        type=positive,
        default=default,
        help=f'resolution in pixels per inch ({default})')


def add_table_and_figure(parser: ArgumentParser, table: str,
                         figure: str) -> None:
    """Add ``--out``, ``--show-path`` and ``--dpi``.

    Args:
        parser (ArgumentParser): The tool's.
        table (str): What ``--out`` writes.
        figure (str): What ``--show-path`` draws.
    """
    parser.add_argument(
        '--out',
        type=table_file,
        metavar='FILE',
        help=f'write {table} here (.md or .csv)')
    parser.add_argument(
        '--show-path',
        type=plot_file,
        metavar='FILE',
        help=f'draw {figure} here (.png, .pdf, ...)')
    add_dpi(parser)


def positive(text: str) -> int:
    """Read a whole number of 1 or more, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: If it is below 1.
    """
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f'{text} must be at least 1.')
    return number


def table_file(name: str) -> Path:
    """Check the name of a .md or .csv file, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: If it ends in something else.
    """
    if Path(name).suffix not in TABLES:
        raise ArgumentTypeError(f'{name}: the name must end in .md or .csv.')
    return Path(name)


def plot_file(name: str) -> Path:
    """Check the name of what matplotlib saves, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: If it ends in none of ``PLOTS``, in any case.
    """
    if Path(name).suffix.lower() not in PLOTS:
        raise ArgumentTypeError(
            f'{name}: the name must end in {", ".join(PLOTS)}.')
    return Path(name)


def figure_file(name: str) -> str:
    """Check the name of a .png or .pdf file, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: If it ends in something else.
    """
    if not name.lower().endswith(('.png', '.pdf')):
        raise ArgumentTypeError(f'{name}: the name must end in .png or .pdf.')
    return name


def _weights_file(name: str) -> str:
    if not os.path.isfile(name):
        raise ArgumentTypeError(
            f'there is no file {name!r}. Give the path of a .pth checkpoint.')
    return name
