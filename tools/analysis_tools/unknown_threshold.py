"""Choose when to answer "unknown": unknown_threshold.py CONFIG CHECKPOINT."""
import argparse
from functools import partial
from pathlib import Path
from typing import Tuple

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.evaluation.photo_predictions import (
    list_photos,
    score_photos,
)
from csd_mmpretrain.evaluation.predictions import load_predictions
from csd_mmpretrain.evaluation.unknown_threshold import (
    UnknownThreshold,
    choose_threshold,
    save_threshold,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    amount,
    output_file,
)
from csd_mmpretrain.utils.tables import markdown_table
from mmengine.registry import init_default_scope
from rich.progress import track

HEADER = ('threshold', 'false rejects, %', 'false accepts, %')
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Choose the probability below which tools/predict.py '
        'answers "unknown", on the validation photos of a config, and measure '
        'how often that is wrong.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument(
        '--out',
        type=output_file,
        required=True,
        metavar='FILE',
        help='the threshold (.json), for tools/predict.py --unknown-below')
    parser.add_argument(
        '--false-reject',
        type=amount,
        default=0.05,
        help='the largest fraction of the validation photos that may be '
        'called unknown (0.05)')
    parser.add_argument(
        '--unknown',
        metavar='PHOTOS',
        help='photos of other things (folder, .txt or .csv), to measure how '
        'many of them get a class; the threshold does not depend on them')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if not args.out.lower().endswith('.json'):
        parser.error(f'--out {args.out}: the name must end in .json.')
    return args


def main() -> None:
    """Write the threshold, and tell its rates."""
    args = parse_args()
    init_default_scope('mmpretrain')
    cfg = load_config(args.config, args.cfg_options)
    if not cfg.get('val_dataloader'):
        raise ValueError(f'{args.config} has no val_dataloader, on whose '
                         'photos a threshold is chosen. Add one.')
    others = args.unknown and list_photos(args.unknown)
    known = load_predictions(
        args.config, args.checkpoint, args.cfg_options, 'val').scores.max(1)
    unknown = None
    if others:
        model = load_model(cfg, args.checkpoint, args.device).model
        found = score_photos(
            model, eval_pipeline(cfg), others,
            num_workers=cfg.val_dataloader.get('num_workers', 0),
            track=partial(track, description='Other photos'))
        unknown = found.scores[[not fault for fault in found.faults]].max(1)
    chosen = choose_threshold(known, args.false_reject, unknown)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    save_threshold(args.out, chosen, args.checkpoint)
    rates = sorted({args.false_reject, *(
        rate for rate in RATES if rate * chosen.known >= 1)})
    print(markdown_table(HEADER, [
        threshold_row(choose_threshold(known, rate, unknown))
        for rate in rates]))
    print(f'\nBelow a probability of {chosen.threshold:.3f} the answer is '
          f'"unknown": {chosen.false_reject:.1%} of {chosen.known} validation '
          'photos.')
    if chosen.unknown:
        print(f'{chosen.false_accept:.1%} of {chosen.unknown} other photos '
              f'get a class; AUROC {chosen.auroc:.3f}.')
    else:
        print('How many photos of other things get a class is not known: '
              'give some by --unknown.')
    print(f'Wrote {args.out}')


def threshold_row(chosen: UnknownThreshold) -> Tuple[str, str, str]:
    """Write a threshold and its rates as a row below :data:`HEADER`."""
    accepted = f'{100 * chosen.false_accept:.1f}' if chosen.unknown else ''
    return (f'{chosen.threshold:.3f}', f'{100 * chosen.false_reject:.1f}',
            accepted)


if __name__ == '__main__':
    run_tool(main)
