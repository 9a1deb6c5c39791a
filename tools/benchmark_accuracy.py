"""Train a suite and write its table: benchmark_accuracy.py SUITE."""
import argparse
from pathlib import Path
import signal
import sys

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.benchmark.accuracy_runs import (
    describe_options,
    prepare_jobs,
    read_results,
    run_jobs,
)
from csd_mmpretrain.benchmark.accuracy_table import (
    format_suite,
    plot_suite,
    read_earlier,
    write_csv,
)
from csd_mmpretrain.benchmark.suite import load_suite
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_weights,
    positive,
)
from csd_mmpretrain.utils.cores import usable_cores, usable_gpus
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Train the configs of a suite with several seeds, and '
        'write a table (Markdown, CSV) and a plot. A stopped run goes on '
        'where it was.')
    parser.add_argument(
        'suite', help='a suite file, such as configs/benchmark/*.py')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='work_dirs/benchmark/<suite> by default')
    parser.add_argument(
        '--jobs',
        type=positive,
        default=usable_cores(),
        help='trainings at a time, without a GPU (the number of cores)')
    parser.add_argument(
        '--gpus',
        help='numbers of the GPUs, such as 0,1 (all); one training each; '
        '"" for none')
    add_weights(parser)
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--seeds', type=int, nargs='+', help='in place of those of the suite')
    parser.add_argument(
        '--methods', nargs='+', help='train these alone; the table has all '
        'that have a result')
    parser.add_argument(
        '--earlier',
        type=Path,
        nargs='+',
        metavar='CSV',
        default=[],
        help='results.csv files of this suite from elsewhere, such as '
        'docs/data/*.csv: what they have is not trained again')
    parser.add_argument(
        '--keep-checkpoints',
        action='store_true',
        help='keep the checkpoints of finished trainings')
    parser.add_argument(
        '--table-only',
        action='store_true',
        help='train nothing; write the table of what has a result')
    return parser.parse_args()


def main() -> None:
    """Train what is missing and write the table."""
    args = parse_args()
    # As after Ctrl-C, the trainings end with this program.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    init_default_scope('mmpretrain')
    # mmengine has a line for each config that reads an environment variable.
    MMLogger.get_instance('benchmark_accuracy', log_level='WARNING')
    suite = load_suite(args.suite)
    if args.seeds:
        suite = suite._replace(seeds=args.seeds)
    names = [method.name for method in suite.methods]
    unknown = [name for name in args.methods or () if name not in names]
    if unknown:
        sys.exit(f'--methods: {args.suite} has no {", ".join(unknown)}; it '
                 f'has {", ".join(names)}.')
    out = args.out or Path('work_dirs', 'benchmark', suite.name)
    jobs = prepare_jobs(suite, out)
    results = read_earlier(args.earlier, jobs)
    failed = {}
    if not args.table_only:
        gpus = usable_gpus() if args.gpus is None else args.gpus
        train = [sys.executable, str(Path(__file__).with_name('train.py'))]
        if args.weights:
            train += ['--weights', args.weights]
        if args.amp:
            train.append('--amp')
        failed = run_jobs(
            [job for job in jobs if job.cell not in results
             and job.cell.method in (args.methods or names)],
            gpus.split(',') if gpus else [None] * args.jobs, train,
            describe_options(args.weights, amp=args.amp),
            args.keep_checkpoints)
    results.update(read_results(jobs))
    if results:
        table = format_suite(suite, results)
        out.mkdir(parents=True, exist_ok=True)
        out.joinpath('table.md').write_text(table + '\n', encoding='utf-8')
        write_csv(results, out / 'results.csv')
        plot_suite(suite, results, out / 'plot.png')
        print(f'\n{table}\n\n{out}: table.md, results.csv, plot.png')
    for cell, log in failed.items():
        print(f'\n{cell.path} failed; its log ends:\n{log}', file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == '__main__':
    run_tool(main)
