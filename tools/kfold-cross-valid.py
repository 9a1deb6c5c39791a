"""Cross-validate a config: kfold-cross-valid.py CONFIG --num-splits N."""
import argparse
import json
import os
from pathlib import Path
import signal
import sys

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.benchmark.accuracy_runs import (
    describe_options,
    read_results,
    run_jobs,
)
from csd_mmpretrain.benchmark.kfold import (
    HEADER,
    dump_out_of_fold,
    fold_jobs,
    fold_rows,
    launch_command,
    summarize_folds,
)
from csd_mmpretrain.runtime.run_options import LAUNCHERS
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_weights,
    output_file,
    positive,
)
from csd_mmpretrain.utils.cores import usable_gpus
from csd_mmpretrain.utils.tables import markdown_table
from mmengine.registry import init_default_scope
import torch

# Passed on to tools/train.py as they are.
FLAGS = ('amp', 'auto_scale_lr', 'no_pin_memory', 'no_persistent_workers')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Cross-validate a config on its training images: each '
        'fold is held out once, with every class spread over all folds. Each '
        'fold is a training of its own in WORK_DIR/fold<i>, with its config '
        'beside it; at the end WORK_DIR/summary.md and summary.json are '
        'written.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--num-splits', type=int, required=True, help='number of folds')
    parser.add_argument(
        '--fold', type=int, help='train this fold alone, from 0')
    parser.add_argument(
        '--work-dir',
        type=Path,
        metavar='DIR',
        help='folder of the folds; work_dirs/<config name> by default')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the division into folds (0); that of the trainings is the '
        "config's, or --cfg-options randomness.seed=1")
    parser.add_argument(
        '--keep-small-classes',
        action='store_true',
        help='accept classes with fewer images than folds: one of a single '
        'image is trained on in every fold')
    parser.add_argument(
        '--groups',
        metavar='FILE',
        help='a .csv file with the columns path and group, such as photos.csv '
        'of a project: images of a group (a plant, a plot) are held out '
        'together; --keep-small-classes then counts groups')
    parser.add_argument(
        '--out',
        type=output_file,
        metavar='FILE',
        help='write the predictions of all held-out images here (.json), '
        'each by the model that has not seen it, for the confusion matrix '
        'and other analyses')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on in a folder that has folds: those with a result are not '
        'trained again, a stopped one goes on from its latest checkpoint')
    parser.add_argument(
        '--summary',
        action='store_true',
        help='train nothing; write the summary of the folds that have a '
        'result with this config and these options')
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='validate only after the last epoch, for the summary')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the total batch size')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin the memory of the batches')
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the data workers anew for every epoch')
    add_weights(parser)
    parser.add_argument(
        '--metric',
        default='accuracy/top1',
        help="the validation's name of the score (accuracy/top1)")
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='train each fold in several processes, which this tool starts '
        'by torchrun, srun (inside an allocation) or mpirun')
    parser.add_argument(
        '--num-processes',
        type=positive,
        default=max(1, torch.cuda.device_count()),
        help='with --launcher: processes of each fold (one per GPU)')
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0,
        help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.num_splits < 2:
        parser.error(f'--num-splits {args.num_splits}: at least 2 folds.')
    if args.fold is not None and not 0 <= args.fold < args.num_splits:
        parser.error(f'--fold {args.fold}: expected 0 to '
                     f'{args.num_splits - 1}.')
    if args.out and not args.out.endswith('.json'):
        parser.error(f'--out {args.out}: the name must end in .json.')
    if os.environ.get('WORLD_SIZE', '1') != '1':
        parser.error(
            f'WORLD_SIZE is {os.environ["WORLD_SIZE"]}: start this tool as '
            'one process; with --launcher it starts those of each fold.')
    if args.work_dir is None:
        args.work_dir = Path('work_dirs', Path(args.config).stem)
    return args


def train_command(args: argparse.Namespace) -> list:
    """Start the training tool with its options.

    Args:
        args (Namespace): The options of this tool.

    Returns:
        list[str]: Without config and work directory.
    """
    train = launch_command(args.launcher, args.num_processes)
    train.append(str(Path(__file__).with_name('train.py')))
    train += ['--launcher', args.launcher]
    train += [
        f'--{flag.replace("_", "-")}' for flag in FLAGS if getattr(args, flag)
    ]
    return train + (['--weights', args.weights] if args.weights else [])


def main() -> None:
    """Train the folds and write their summary."""
    args = parse_args()
    # As after Ctrl-C, the trainings end with this program.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    init_default_scope('mmpretrain')
    fold = '*' if args.fold is None else args.fold
    started = any(args.work_dir.glob(f'fold{fold}/*'))
    if started and not (args.resume or args.summary):
        sys.exit(f'{args.work_dir} has been trained in already. Go on with '
                 '--resume, or choose another --work-dir.')
    jobs = fold_jobs(args.config, args.work_dir, args.num_splits, args.seed,
                     args.metric, not args.no_validate, args.cfg_options,
                     args.keep_small_classes, args.groups)
    failed = {}
    if not args.summary:
        processes = 1 if args.launcher == 'none' else args.num_processes
        failed = run_jobs(
            [job for job in jobs if args.fold in (None, job.cell.split)],
            [usable_gpus() or None],
            train_command(args),
            describe_options(args.weights, processes, amp=args.amp,
                             auto_scale_lr=args.auto_scale_lr),
            keep_checkpoints=True,
            processes=processes)
    results = {
        cell.split: result for cell, result in read_results(jobs).items()
    }
    missing = [fold for fold in range(args.num_splits) if fold not in results]
    if results:
        text = markdown_table(HEADER, fold_rows(results))
        if missing:
            text += '\n\nWithout a result: fold ' + ', '.join(
                map(str, missing))
        args.work_dir.joinpath('summary.md').write_text(
            text + '\n', encoding='utf-8')
        args.work_dir.joinpath('summary.json').write_text(
            json.dumps(
                dict(
                    config=args.config,
                    num_splits=args.num_splits,
                    seed=args.seed,
                    metric=args.metric,
                    **summarize_folds(results),
                    folds={k: r._asdict() for k, r in results.items()},
                    missing=missing),
                indent=1),
            encoding='utf-8')
        print(f'\n{text}\n\n{args.work_dir}: summary.md, summary.json')
        if args.out:
            count = dump_out_of_fold(
                [job for job in jobs if job.cell.split in results], args.out)
            print(f'{args.out}: predictions of {count} held-out images, by '
                  f'{len(results)} of {args.num_splits} folds')
    elif not failed:
        print('No fold has a result yet.')
    for cell, log in failed.items():
        print(f'\nfold {cell.split} failed; its log ends:\n{log}',
              file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == '__main__':
    run_tool(main)
