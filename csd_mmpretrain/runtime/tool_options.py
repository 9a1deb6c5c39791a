"""Command-line options that several tools share."""
import math
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Callable, List, Optional, Sequence

import torch
from mmengine.config import DictAction

PLOTS = ('.png', '.pdf', '.svg', '.svgz', '.jpg', '.jpeg', '.eps', '.ps',
         '.tif', '.tiff', '.webp')


class ToolParser(ArgumentParser):
    """A tool's command line, with ``--debug`` for ``run_tool``.

    Args:
        kwargs: Options of ``ArgumentParser``, such as ``description``.

    Example:
        ::

            parser = ToolParser(description='Draw the features.')
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_argument(
            '--debug',
            action='store_true',
            help='print the traceback of an error, too')


def add_cfg_options(parser: ArgumentParser) -> None:
    """Add ``--cfg-options``, as in mmpretrain's tools.

    Args:
        parser (ArgumentParser): The tool's.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Settings,
        metavar='KEY=VALUE',
        help='change settings of the config, such as train_cfg.max_epochs=2; '
        'a list is written "key=[a,b]" or key=a,b')


class _Settings(DictAction):
    """mmengine's, but a text that is no list keeps its blanks."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace,
                 values: List[str], option_string: Optional[str] = None
                 ) -> None:
        for text in values:
            if '=' not in text:
                parser.error(
                    f'{text} is no KEY=VALUE. Write no blanks around the =, '
                    'and quotes around a value with blanks: "KEY=a value".')
        super().__call__(parser, namespace, values, option_string)

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        if ' ' in val and ',' not in val and val.strip()[:1] not in '([':
            return val.strip('\'"')
        return DictAction._parse_iterable(val)


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
        type=_device,
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


def positive(text: str) -> int:
    """Read a whole number of 1 or more, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: If it is below 1.
    """
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f'{text} must be at least 1.')
    return number


def whole(text: str) -> int:
    """Read a whole number of 0 or more, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: If it is below 0.
    """
    number = int(text)
    if number < 0:
        raise ArgumentTypeError(f'{text} must be at least 0.')
    return number


def amount(text: str) -> float:
    """Read a finite number of 0 or more, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: If it is below 0, infinite or nan.
    """
    number = float(text)
    if not 0 <= number < math.inf:
        raise ArgumentTypeError(f'{text} must be a number of 0 or more.')
    return number


def output_file(name: str) -> str:
    """Check that a file can be written, as the ``type`` of an option.

    A file that exists keeps its content, and nothing new is left behind.

    Raises:
        OSError: If it cannot be opened.
    """
    new = [folder for folder in Path(name).parents if not folder.exists()]
    try:
        os.makedirs(os.path.dirname(name) or '.', exist_ok=True)
        try:
            with open(name, 'xb'):
                pass
            os.unlink(name)
        except FileExistsError:
            with open(name, 'ab'):
                pass
    except OSError as error:
        raise type(error)(
            f'{name} cannot be written: {error.strerror}. Choose a file in '
            'a folder of yours.') from None
    with suppress(OSError):  # another process may have begun to write
        for folder in new:
            folder.rmdir()
    return name


def output_folder(name: str) -> str:
    """Make a folder for output, as the ``type`` of an option.

    Raises:
        OSError: If no file can be written there.
    """
    try:
        os.makedirs(name, exist_ok=True)
        with TemporaryFile(dir=name):
            pass
    except OSError as error:
        raise type(error)(
            f'No files can be written in {name}: {error.strerror}. Choose '
            'a folder of yours.') from None
    return name


def _file_name(kind: type, *endings: str,
               capitals: Sequence[str] = ()) -> Callable[[str], Any]:
    """Make an option's ``type``: an output file with one of the endings."""

    def check(name: str) -> Any:
        if Path(name).suffix not in (*endings, *capitals):
            raise ArgumentTypeError(
                f'{name}: the name must end in {" or ".join(endings)}.')
        return kind(output_file(name))

    return check


table_file = _file_name(Path, '.md', '.csv')
figure_file = _file_name(str, '.png', '.pdf', capitals=('.PNG', '.PDF'))
plot_file = _file_name(Path, *PLOTS, capitals=[x.upper() for x in PLOTS])


def default_figure(config: str, name: str) -> str:
    """Name a figure's file where the command line names none.

    Args:
        config (str): The config file.
        name (str): Of the file.

    Returns:
        str: The file in ``work_dirs/<config name>``.

    Raises:
        OSError: If it cannot be written.
    """
    folder = os.path.splitext(os.path.basename(config))[0]
    return output_file(os.path.join('work_dirs', folder, name))


def add_training_images(parser: ArgumentParser) -> None:
    """Add the images to draw, ``--num`` and ``--batch-size``.

    Args:
        parser (ArgumentParser): Of a tool for models trained without labels.
    """
    parser.add_argument(
        'images',
        nargs='*',
        help='image files or folders; the training images by default')
    parser.add_argument(
        '--num', type=positive, default=8,
        help='how many images at most, evenly spread (8)')
    parser.add_argument(
        '--batch-size',
        type=positive,
        default=16,
        help='images that go through the model at once (16)')


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


def _device(name: str) -> str:
    if name.startswith('cuda') and not torch.cuda.is_available():
        raise ArgumentTypeError(f'{name}: torch finds no GPU. Give cpu.')
    return name


def _weights_file(name: str) -> str:
    if not os.path.isfile(name):
        raise ArgumentTypeError(
            f'there is no file {name!r}. Give the path of a .pth checkpoint.')
    return name
