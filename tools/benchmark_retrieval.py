"""Time and memory of retrieval by blocks: benchmark_retrieval.py."""
import argparse

from csd_mmpretrain.benchmark.retrieval_benchmark import (
    HEADER,
    compare_ranks,
    make_features,
    measure_ranking,
    rank_by_sorting,
)
from csd_mmpretrain.evaluation.retrieval import rank_positives
from csd_mmpretrain.evaluation.similarity import MEMORY
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_device,
    amount,
)
from csd_mmpretrain.utils.measure import machine_name
from csd_mmpretrain.utils.tables import markdown_table
import torch


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
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
        '--memory', type=amount, default=MEMORY,
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
    print(f'{args.num} queries, {args.num} gallery items, {args.channels} '
          f'channels, {machine_name(args.device)}, torch '
          f'{torch.__version__}\n')
    features = make_features(args.num, args.channels, args.num_classes,
                             args.device)
    costs = {'by blocks': measure_ranking(
        rank_positives, features, memory=args.memory)}
    if not args.no_reference:
        costs['whole matrix, full sort'] = measure_ranking(
            rank_by_sorting, features)
    print(markdown_table(HEADER, [(name, f'{seconds:.1f}', f'{grown:.0f}')
                                  for name, (seconds, grown, _) in
                                  costs.items()]))
    if not args.no_reference:
        others, difference = compare_ranks(
            *(ranked for *_, ranked in costs.values()))
        print(f'\n{others} of {args.num} queries have another first rank; '
              'the average precision differs by at most '
              f'{difference:.1e}.')


if __name__ == '__main__':
    run_tool(main)
