"""Draw which classes are confused: CONFIG CHECKPOINT_OR_RESULT."""
import argparse
from importlib.util import find_spec
from pathlib import Path

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.evaluation.confusion_pairs import (
    confusion_order,
    worst_pairs,
)
from csd_mmpretrain.evaluation.predictions import class_names, load_predictions
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_dpi,
    output_file,
    plot_file,
    positive,
    table_file,
)
from csd_mmpretrain.utils.tables import markdown_table, write_table
from csd_mmpretrain.visualization.confusion_figure import draw_confusion
from csd_mmpretrain.visualization.pair_images import draw_pairs, training_files
from matplotlib import colormaps
import mmengine
from mmengine.registry import init_default_scope
from mmpretrain.evaluation import ConfusionMatrix
import numpy as np
import torch

HEADER = ('true class', 'taken for', 'images', 'of', 'the other way')
MATRIX_FILES = ('.pkl', '.pickle', '.csv')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Compute the confusion matrix of the test data, draw it, '
        'and show the pairs of classes that are confused most.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'ckpt_or_result',
        help='checkpoint, or predictions of `tools/test.py --out` (.json), '
        'which need no second inference')
    parser.add_argument(
        '--out',
        type=matrix_file,
        metavar='FILE',
        help='write the matrix here: .pkl (a tensor) or .csv; rows are the '
        'true classes')
    parser.add_argument(
        '--show', action='store_true', help='show the matrix in a window')
    parser.add_argument(
        '--show-path',
        type=plot_file,
        metavar='FILE',
        help='draw the matrix here (.png, .pdf, ...)')
    parser.add_argument(
        '--include-values',
        action='store_true',
        help='write the counts into the cells, up to 100 classes')
    parser.add_argument(
        '--cmap',
        type=color_map,
        default='viridis_r',
        help='color map of matplotlib (viridis_r)')
    parser.add_argument(
        '--order',
        choices=['dataset', 'confusion'],
        default='dataset',
        help='order of the classes: as in the dataset, or those that are '
        'confused beside each other (needs scipy)')
    parser.add_argument(
        '--top',
        type=positive,
        default=10,
        help='how many of the worst pairs (10)')
    parser.add_argument(
        '--pairs-out',
        type=table_file,
        metavar='FILE',
        help='write the worst pairs here (.md or .csv)')
    parser.add_argument(
        '--pairs-path',
        type=plot_file,
        metavar='FILE',
        help='draw the worst pairs with their images here')
    parser.add_argument(
        '--pair-images',
        type=positive,
        default=4,
        help='images of either class of a pair (4)')
    add_dpi(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.order == 'confusion' and find_spec('scipy') is None:
        parser.error('--order confusion needs scipy: '
                     'pip install "csd_mmpretrain[bench]".')
    return args


def matrix_file(name: str) -> Path:
    """Check the name of a matrix, as the ``type`` of an option.

    Args:
        name (str): The file's name.

    Returns:
        Path: The file.

    Raises:
        ArgumentTypeError: If it ends in none of ``MATRIX_FILES``.
    """
    if not name.endswith(MATRIX_FILES):
        raise argparse.ArgumentTypeError(
            f'{name}: the name must end in {", ".join(MATRIX_FILES)}.')
    return Path(output_file(name))


def color_map(name: str) -> str:
    """Check the name of a color map, as the ``type`` of an option.

    Args:
        name (str): The name.

    Returns:
        str: The same.

    Raises:
        ArgumentTypeError: If matplotlib has none of this name.
    """
    if name not in colormaps:
        raise argparse.ArgumentTypeError(
            f'{name!r} is no color map of matplotlib. Choose one such as '
            'viridis_r, magma_r or Blues.')
    return name


def main() -> None:
    """Write and draw what the command line asks for."""
    args = parse_args()
    init_default_scope('mmpretrain')
    cfg = load_config(args.config, args.cfg_options)
    found = load_predictions(args.config, args.ckpt_or_result,
                             args.cfg_options)
    num_classes = found.scores.shape[1]
    classes = class_names(cfg, num_classes)
    counts = ConfusionMatrix.calculate(found.predicted, found.labels,
                                       num_classes).numpy()
    pairs = worst_pairs(counts, args.top)
    table = [(classes[pair.true], classes[pair.predicted], pair.count,
              pair.total, pair.reverse) for pair in pairs]
    print(f'Accuracy {np.trace(counts) / counts.sum():.2%} of '
          f'{counts.sum()} images of {num_classes} classes.\n')
    print(markdown_table(HEADER, table) if table else 'No class is confused.')

    for path in (args.out, args.show_path, args.pairs_path):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
    if args.out and args.out.suffix == '.csv':
        write_table(args.out, ('', *classes),
                    [(name, *row) for name, row in zip(classes, counts)])
    elif args.out:
        mmengine.dump(torch.from_numpy(counts), args.out)
    if args.pairs_out:
        write_table(args.pairs_out, HEADER, table)
    if args.pairs_path and pairs:
        figure = draw_pairs(pairs, found, classes, training_files(cfg),
                            args.pair_images)
        figure.savefig(args.pairs_path, dpi=args.dpi)
    if args.show or args.show_path:
        figure = None
        if args.show:
            import matplotlib.pyplot as plt
            figure = plt.figure()
        order = confusion_order(counts) if args.order == 'confusion' else None
        figure = draw_confusion(counts, classes, order, args.cmap,
                                args.include_values, figure)
        if args.show_path:
            figure.savefig(args.show_path, dpi=args.dpi)
        if args.show:
            plt.show()
    for path in (args.out, args.show_path, args.pairs_out, args.pairs_path):
        if path and path.is_file():
            print(f'Wrote {path}')


if __name__ == '__main__':
    run_tool(main)
