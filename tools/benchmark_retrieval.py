"""Time and memory of retrieval by blocks: benchmark_retrieval.py."""
import argparse
import platform

import torch

from csd_mmpretrain.benchmark.retrieval_benchmark import (
    HEADER,
    RetrievalSetting,
    compare_ranks,
    cost_row,
    measure_blocks,
    measure_reference,
)
from csd_mmpretrain.evaluation.similarity import MEMORY
from csd_mmpretrain.runtime.tool_options import add_device
from csd_mmpretrain.utils.tables import markdown_table


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description='Rank a gallery for as many queries, by blocks and by '
        'the whole matrix of similarities with a full sort: time, peak '
        'memory, and whether the ranks are the same.')
    parser.add_argument(
        '--num', type=int, default=20000,
        help='queries, and gallery items (20000)')
    parser.add_argument(
        '--channels', type=int, default=512, help='of a feature (512)')
    parser.add_argument(
        '--num-classes', type=int, default=1000, help='classes (1000)')
    parser.add_argument(
        '--memory', type=float, default=MEMORY,
        help=f'MiB for a block of similarities ({MEMORY})')
    parser.add_argument(
        '--no-reference',
        action='store_true',
        help='leave the whole matrix out, which takes 4 * num^2 bytes and '
        'more')
    add_device(parser, choices=('cpu', 'cuda'))
    args = parser.parse_args()
    for name in ('num', 'channels', 'num_classes', 'memory'):
        if not getattr(args, name) > 0:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)}: '
                         'it must be more than 0.')
    return args


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    setting = RetrievalSetting(args.num, args.channels, args.num_classes,
                               args.memory, args.device)
    machine = (
        f'{platform.machine()} CPU, {torch.get_num_threads()} thread(s)'
        if args.device == 'cpu' else torch.cuda.get_device_name())
    print(f'{args.num} queries, {args.num} gallery items, {args.channels} '
          f'channels, {machine}, torch {torch.__version__}\n')
    blocks = measure_blocks(setting)
    rows = [cost_row('by blocks', blocks)]
    if not args.no_reference:
        reference = measure_reference(setting)
        rows.append(cost_row('whole matrix, full sort', reference))
    print(markdown_table(HEADER, rows))
    if not args.no_reference:
        others, difference = compare_ranks(blocks.ranked, reference.ranked)
        print(f'\n{others} of {args.num} queries have another first rank; '
              'the average precision differs by at most '
              f'{difference:.1e}.')


if __name__ == '__main__':
    main()
