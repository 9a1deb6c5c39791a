"""What an image costs before it is trained on: benchmark_loading.py CONFIG."""
import argparse

from csd_mmpretrain.benchmark.loading_benchmark import (
    benchmark_loading,
    format_loading,
)
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    positive,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Milliseconds of one core per image, for each transform '
        'of the pipeline, with and without the cache of decoded images.')
    parser.add_argument('config', help='a config')
    parser.add_argument(
        '--loader',
        default='train_dataloader',
        choices=['train_dataloader', 'val_dataloader', 'test_dataloader'],
        help='whose pipeline (train_dataloader)')
    parser.add_argument(
        '--images', type=positive, default=64, help='measured images (64)')
    parser.add_argument(
        '--repeats',
        type=positive,
        default=5,
        help='times each is measured (5)')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Measure and print a table."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if not cfg.get(args.loader):
        raise SystemExit(f'{args.config} has no {args.loader}.')
    check_dataset_folders(cfg, (args.loader, ))
    print(format_loading(
        benchmark_loading(cfg, args.loader, args.images, args.repeats)))


if __name__ == '__main__':
    run_tool(main)
