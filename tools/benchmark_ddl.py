"""Compare DDL with the matrix products that it needs: benchmark_ddl.py."""
import argparse

from csd_mmpretrain.methods.csdnet.ddl_benchmark import (
    DDLSetting,
    benchmark_ddl,
    contenders,
    format_ddl_table,
)
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_device,
    positive,
)
from csd_mmpretrain.utils.measure import machine_name
import torch


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Time and peak memory of forward and backward of '
        'DDLQueueLoss for full queues, against the two bare matrix products '
        'and against CrossBatchMemory of pytorch-metric-learning.')
    parser.add_argument(
        '--batch-size', type=positive, default=64,
        help='images, in two views each (64)')
    parser.add_argument(
        '--channels', type=positive, default=1024, help='of a feature (1024)')
    parser.add_argument(
        '--queue-lens',
        type=positive,
        nargs='+',
        default=[1000, 10000, 100000],
        help='(1000 10000 100000); a million keys of 1024 channels need 4 GiB')
    parser.add_argument(
        '--iters', type=positive, default=10, help='measured steps (10)')
    add_device(parser, choices=('cpu', 'cuda'))
    parser.add_argument(
        '--no-peer',
        action='store_true',
        help='leave CrossBatchMemory out, which copies the queue and lists '
        'all pairs')
    args = parser.parse_args()
    if min(args.queue_lens) < 2 * args.batch_size:
        parser.error(f'--queue-lens {min(args.queue_lens)}: it must be at '
                     'least two views of a batch, '
                     f'{2 * args.batch_size}.')
    return args


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    names = list(contenders())
    peer = 'CrossBatchMemory'
    if peer not in names:
        print(f'{peer} is left out: pip install "csd_mmpretrain[bench]".')
    elif args.no_peer:
        names.remove(peer)
    print(f'\n{args.batch_size} images in two views, {args.channels} '
          f'channels, {machine_name(args.device)}, torch '
          f'{torch.__version__}, {args.iters} interleaved steps\n')
    costs = {
        queue_len: benchmark_ddl(
            DDLSetting(queue_len, args.batch_size, args.channels,
                       args.device), names, args.iters)
        for queue_len in args.queue_lens
    }
    print(format_ddl_table(costs))


if __name__ == '__main__':
    run_tool(main)
