"""Predict photos: predict.py CONFIG CHECKPOINT PHOTOS --out FILE.csv."""
import argparse
from collections import Counter
import csv
from functools import partial
import os
from pathlib import Path
import time

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.annotation_list import read_text
from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.evaluation.photo_predictions import (
    answer_header,
    answer_rows,
    check_names,
    list_photos,
    score_photos,
)
from csd_mmpretrain.evaluation.unknown_threshold import load_threshold
from csd_mmpretrain.runtime.kept_memory import keep_freed_memory
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    output_file,
    positive,
    whole,
)
from csd_mmpretrain.utils.cores import usable_cores
from mmengine.registry import init_default_scope
from rich.progress import track


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Predict photos, and write a table: the file, the answer, '
        'the best classes and their probabilities, and what is wrong with a '
        'file that is no whole image.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument(
        'photos',
        help='a folder, which is searched; a .txt with a path in each line; '
        'a .csv with a column `path`; or a photo')
    parser.add_argument(
        '--out',
        type=output_file,
        required=True,
        metavar='FILE',
        help='the table (.csv)')
    parser.add_argument(
        '--top',
        type=positive,
        default=3,
        help='how many of the best classes to write (3)')
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='answer one of these alone; or a .txt with a name in each line')
    parser.add_argument(
        '--unknown-below',
        metavar='FILE_OR_NUMBER',
        help='answer "unknown" if no class has this probability: a .json of '
        'tools/analysis_tools/unknown_threshold.py, or a number')
    parser.add_argument(
        '--batch-size', type=positive, default=32,
        help='photos that go through the model at once (32)')
    parser.add_argument(
        '--num-workers', type=whole, default=usable_cores(),
        help='processes that load photos; 0 for none (one per core)')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if not args.out.lower().endswith('.csv'):
        parser.error(f'--out {args.out}: the name must end in .csv.')
    return args


def main() -> None:
    """Write the table, and count the answers."""
    args = parse_args()
    init_default_scope('mmpretrain')
    cfg = load_config(args.config, args.cfg_options)
    paths = list_photos(args.photos)
    if os.path.exists(args.out) and os.path.samefile(args.out, args.photos):
        raise ValueError(f'--out {args.out} is the list of photos, which '
                         'would be lost. Choose another file.')
    loaded = load_model(cfg, args.checkpoint, args.device)
    classes = loaded.classes
    if not loaded.has_classifier or not classes:
        raise ValueError(
            f'{args.checkpoint} has no trained classifier with names of '
            'classes. Give a checkpoint that tools/train.py has written.')
    allowed = args.classes
    if allowed and len(allowed) == 1 and allowed[0].endswith('.txt'):
        allowed = read_text(
            allowed[0], 'Write a class in each line.').split('\n')
        allowed = [name for name in map(str.strip, allowed) if name]
    check_names(classes, allowed)
    threshold = args.unknown_below and load_threshold(
        args.unknown_below, args.checkpoint)
    keep_freed_memory()  # photos are large
    start = time.time()
    found = score_photos(
        loaded.model, eval_pipeline(cfg), paths, args.batch_size,
        args.num_workers, partial(track, description='Predicting'))
    seconds = time.time() - start
    top = min(args.top, len(allowed or classes))
    answers = Counter()
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    with open(args.out, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(answer_header(top))
        for row in answer_rows(found, classes, top, allowed, threshold):
            answers[row[1]] += 1
            writer.writerow(row)
    broken = answers.pop('', 0)
    print(f'{len(paths)} files in {seconds:.1f} s: '
          + ', '.join(f'{count} {name}' for name, count in
                      answers.most_common(10))
          + (f'; {broken} are no whole images, see the column `fault`'
             if broken else ''))
    print(f'Wrote {args.out}')


if __name__ == '__main__':
    run_tool(main)
