"""Command-line options that many tools have."""
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


def add_weights(parser: ArgumentParser) -> None:
    """Add ``--weights``, for tools that start tools/train.py.

    Args:
        parser (ArgumentParser): The tool's.
    """
    parser.add_argument(
        '--weights',
        type=weights_file,
        metavar='FILE',
        help='pretrained weights for the backbone, as in tools/train.py')


def add_device(parser: ArgumentParser,
               choices: Optional[Sequence[str]] = None) -> None:
    """Add ``--device``, a GPU by default, where there is one.

    Args:
        parser (ArgumentParser): The tool's.
        choices (Sequence[str], optional): The devices that it takes, such as
            ``('cpu', 'cuda')`` where there is no choice among several GPUs.
            Defaults to None, any that torch knows.
    """
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        choices=choices,
        help='cpu or cuda; a GPU by default, where there is one')


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
        help=f'sharpness ({default})')


def positive(text: str) -> int:
    """Read a whole number of 1 or more, as the ``type`` of an option.

    Args:
        text (str): What the command line has.

    Returns:
        int: The number.

    Raises:
        ArgumentTypeError: If it is below 1.

    Example:
        >>> positive('3')
        3
    """
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f'{text} must be at least 1.')
    return number


def add_table_and_figure(parser: ArgumentParser, table: str,
                         figure: str) -> None:
    """Add ``--out``, ``--show-path`` and ``--dpi``.

    Args:
        parser (ArgumentParser): The tool's.
        table (str): What ``--out`` writes.
        figure (str): What ``--show-path`` draws.

    Example:
        >>> from argparse import ArgumentParser
        >>> parser = ArgumentParser()
        >>> add_table_and_figure(parser, 'the table', 'the curves')
        >>> parser.parse_args(['--out', 'table.md'])
        Namespace(out=PosixPath('table.md'), show_path=None, dpi=200)
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


def table_file(name: str) -> Path:
    """Check the name of a table, as the ``type`` of an option.

    Args:
        name (str): The file's name.

    Returns:
        Path: The file.

    Raises:
        ArgumentTypeError: If it ends neither in .md nor in .csv.

    Example:
        >>> table_file('table.md').suffix
        '.md'
    """
    if Path(name).suffix not in TABLES:
        raise ArgumentTypeError(f'{name}: the name must end in .md or .csv.')
    return Path(name)


def plot_file(name: str) -> Path:
    """Check the name of what matplotlib saves, as the ``type`` of an option.

    Args:
        name (str): The file's name; its ending may be in capitals.

    Returns:
        Path: The file.

    Raises:
        ArgumentTypeError: If it ends in none of ``PLOTS``.

    Example:
        >>> plot_file('curves.svg').suffix
        '.svg'
    """
    if Path(name).suffix.lower() not in PLOTS:
        raise ArgumentTypeError(
            f'{name}: the name must end in {", ".join(PLOTS)}.')
    return Path(name)


def weights_file(name: str) -> str:
    """Check that weights are there, as the ``type`` of an option.

    Args:
        name (str): The file's name.

    Returns:
        str: The same.

    Raises:
        ArgumentTypeError: If there is no such file.
    """
    if not os.path.isfile(name):
        raise ArgumentTypeError(
            f'there is no file {name!r}. Give the path of a .pth checkpoint.')
    return name


def figure_file(name: str) -> str:
    """Check the name of a figure, as the ``type`` of an option.

    Args:
        name (str): The file's name.

    Returns:
        str: The same.

    Raises:
        ArgumentTypeError: If it ends neither in .png nor in .pdf.

    Example:
        >>> figure_file('bags.pdf')
        'bags.pdf'
    """
    if not name.lower().endswith(('.png', '.pdf')):
        raise ArgumentTypeError(f'{name}: the name must end in .png or .pdf.')
    return name
