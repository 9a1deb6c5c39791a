"""Compare trainings, several seeds of each config: WORK_DIRS..."""
import argparse
from pathlib import Path

from csd_mmpretrain.benchmark.run_comparison import (
    HEADER,
    SCORES,
    comparison_rows,
    group_runs,
)
from csd_mmpretrain.benchmark.run_logs import read_run
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_table_and_figure,
)
from csd_mmpretrain.utils.tables import markdown_table, write_table
from csd_mmpretrain.visualization.curves_figure import draw_curves


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Compare trainings: mean and deviation over the seeds, '
        'paired differences with their 95 % interval and t-test, learning '
        'curves. Runs pair up by seed, and by images in cross-validation.')
    parser.add_argument(
        'work_dirs', nargs='+', type=Path, help='work directories')
    parser.add_argument(
        '--metric',
        nargs='+',
        default=['accuracy/top1'],
        metavar='NAME',
        help="the validation's name of the score (accuracy/top1); of several "
        'each makes groups and curves of its own')
    parser.add_argument(
        '--score',
        choices=SCORES,
        default='last',
        help="a run's score: of the last validation, or the best, which is "
        'chosen on the data it scores (last)')
    parser.add_argument(
        '--group',
        metavar='PATTERN',
        help='a regular expression, searched in the path: its first group '
        "names a run's group, such as 'runs/([^/]+)/'; the name of the config "
        'by default')
    parser.add_argument(
        '--baseline',
        metavar='NAME',
        help='the group that others are compared with (that of the first '
        'directory)')
    add_table_and_figure(parser, 'the table', 'the learning curves')
    return parser.parse_args()


def main() -> None:
    """Write and draw what the command line asks for."""
    args = parse_args()
    table, curves = [], {}
    for metric in args.metric:
        runs = [read_run(folder, metric, args.group)
                for folder in args.work_dirs]
        for run in runs:
            if not run.finished:
                print(f'{run.folder} is left out: its last validation is at '
                      f'{max(run.scores)} of {run.planned}.')
        runs = [run for run in runs if run.finished]
        if not runs:
            raise SystemExit('No run has finished.')
        groups = group_runs(runs)
        rows = comparison_rows(groups, args.baseline or runs[0].group,
                               args.score)
        ending = f', {metric}' if len(args.metric) > 1 else ''
        table += [(name + ending, *cells) for name, *cells in rows]
        curves.update({
            name + ending: [run.scores for run in members.values()]
            for name, members in groups.items()})
    print(markdown_table(HEADER, table))
    if args.out:
        write_table(args.out, HEADER, table)
        print(f'Wrote {args.out}')
    if args.show_path:
        args.show_path.parent.mkdir(parents=True, exist_ok=True)
        draw_curves(curves, '\n'.join(args.metric)).savefig(
            args.show_path, dpi=args.dpi)
        print(f'Wrote {args.show_path}')


if __name__ == '__main__':
    run_tool(main)
