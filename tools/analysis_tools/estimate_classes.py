"""Compare numbers of novel classes: estimate_classes.py CONFIG CHECKPOINT."""
import argparse

from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.samples import list_infos
from csd_mmpretrain.evaluation.similarity import unit_features
from csd_mmpretrain.methods.crkd.class_count import (
    best_numbers,
    count_scores,
    rehearse,
)
from csd_mmpretrain.methods.crkd.discovery_study import load_stage_one
from csd_mmpretrain.methods.crkd.unlabelled_photos import photo_features
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    positive,
)
from csd_mmpretrain.utils.tables import markdown_table
import numpy as np


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Compare numbers of novel classes without their labels: '
        'k-means clusters known and unlabelled photos together, and the score '
        'is its accuracy on the known ones. Repeats with other photos, and '
        'rehearsals in which known classes play the novel ones, tell how sure '
        'it is.')
    parser.add_argument('config', help='a stage 2 of Cr-KD')
    parser.add_argument(
        'checkpoint', help='of stage 1, or weights of the backbone alone')
    parser.add_argument(
        '--num-novel', type=positive, nargs='+', metavar='C',
        help='numbers to compare; by default a quarter to twice that of the '
        'config')
    parser.add_argument(
        '--repeats', type=positive, default=8,
        help='with other photos and starts (8)')
    add_device(parser)
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Print the table and what follows from it."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_dataset_folders(cfg, ('train_dataloader', ))
    model = load_stage_one(cfg, args.checkpoint, args.device)
    infos = list_infos(build_without_pipeline(cfg.train_dataloader.dataset))
    labels = np.array([info.get('gt_label', -1) for info in infos])
    features = unit_features(
        'photos', photo_features(cfg, model, infos)).cpu().numpy()
    guess = cfg.model.head.num_novel
    candidates = sorted(set(args.num_novel or (
        max(1, round(guess * share))
        for share in (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2))))
    scores = count_scores(features, labels, candidates, args.repeats)
    best = best_numbers(scores, candidates)
    print(markdown_table(
        ('novel classes', 'accuracy on known photos, %', 'best in'),
        [(number, f'{100 * column.mean():.1f} ± {100 * column.std():.1f}',
          f'{(best == number).mean():.0%}')
         for number, column in zip(candidates, scores.T)]))
    found = rehearse(features, labels, args.repeats)
    print(f'\n{(labels < 0).sum()} unlabelled photos: {np.median(best):g} '
          f'novel classes, {best.min()} to {best.max()} in {args.repeats} '
          'repeats with 80 % of the photos.')
    print(f'In {args.repeats} rehearsals, each with {found.true} known '
          f'classes in the place of novel ones, it said '
          f'{np.median(found.estimates):g}, {min(found.estimates)} to '
          f'{max(found.estimates)}. With a checkpoint of stage 1, which was '
          'trained on these classes, a rehearsal is easier than the task.')


if __name__ == '__main__':
    run_tool(main)
