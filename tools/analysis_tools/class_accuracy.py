"""List and draw the accuracy of each class: CONFIG CHECKPOINT_OR_RESULT."""
import argparse

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.evaluation.class_accuracy import class_accuracies
from csd_mmpretrain.evaluation.predictions import class_names, load_predictions
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_table_and_figure,
)
from csd_mmpretrain.utils.tables import markdown_table, write_table
from csd_mmpretrain.visualization.class_accuracy_figure import (
    draw_class_accuracy,
)
from mmengine.registry import init_default_scope
from mmpretrain.evaluation import ConfusionMatrix

HEADER = ('class', 'right', 'images', 'accuracy, %', 'low, %', 'high, %')
PRINTED = 20


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Compute the accuracy of each class on the test data, '
        "with Wilson's 95 % interval, the worst first.")
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'ckpt_or_result',
        help='checkpoint, or predictions of `tools/test.py --out` (.json)')
    add_table_and_figure(parser, 'the table of all classes', 'the accuracies')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Write and draw what the command line asks for."""
    args = parse_args()
    init_default_scope('mmpretrain')
    cfg = load_config(args.config, args.cfg_options)
    found = load_predictions(args.config, args.ckpt_or_result,
                             args.cfg_options)
    num_classes = found.scores.shape[1]
    counts = ConfusionMatrix.calculate(found.predicted, found.labels,
                                       num_classes).numpy()
    rows = class_accuracies(counts, class_names(cfg, num_classes))
    table = [(row.name, row.correct, row.total,
              *(f'{100 * part:.1f}' for part in row[3:])) for row in rows]
    print(markdown_table(HEADER, table[:PRINTED]))
    if len(table) > PRINTED:
        print(f'... and {len(table) - PRINTED} more; --out writes all.')
    if args.out:
        write_table(args.out, HEADER, table)
        print(f'Wrote {args.out}')
    if args.show_path:
        args.show_path.parent.mkdir(parents=True, exist_ok=True)
        draw_class_accuracy(rows).savefig(args.show_path, dpi=args.dpi)
        print(f'Wrote {args.show_path}')


if __name__ == '__main__':
    run_tool(main)
