"""Draw DDL's queue of a checkpoint: vis_queue.py CONFIG CHECKPOINT."""
import argparse
import os

from csd_mmpretrain.methods.csdnet.figures.queue_figure import (
    draw_queue_figure,
    read_queue,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_dpi,
    default_figure,
    figure_file,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description="Draw the memory of DDL: the cosines between the queue's "
        'features, ordered by class, the cosines of pairs of one class and of '
        'different classes with the margin, and the nearest classes.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', help='checkpoint of a training with DDLQueueLoss')
    parser.add_argument(
        '--out',
        type=figure_file,
        metavar='FILE',
        help='.png or .pdf; work_dirs/<config name>/queue.png by default')
    add_dpi(parser, 150)
    parser.add_argument(
        '--title', help="the figure's title; the checkpoint's name by default")
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.out is None:
        args.out = default_figure(args.config, 'queue.png')
    return args


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    queue = read_queue(cfg, args.checkpoint)
    title = args.title
    if title is None:
        title = f'DDL queue of {os.path.basename(args.checkpoint)}'
    figure = draw_queue_figure(queue, title)
    os.makedirs(os.path.dirname(args.out) or '.', exist_ok=True)
    figure.savefig(args.out, dpi=args.dpi)
    print(f'Wrote {args.out}')


if __name__ == '__main__':
    run_tool(main)
