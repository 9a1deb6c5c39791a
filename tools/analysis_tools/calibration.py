"""Measure what probabilities are worth: CONFIG CHECKPOINT_OR_RESULT."""
import argparse
import os
import sys
from typing import List, Optional, Sequence

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.evaluation.calibration import (
    Calibration,
    calibration,
    fit_temperature,
    scale_temperature,
)
from csd_mmpretrain.evaluation.predictions import (
    RESULT_FILES,
    Predictions,
    load_predictions,
    read_predictions,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_table_and_figure,
    positive,
)
from csd_mmpretrain.utils.tables import markdown_table, write_table
from csd_mmpretrain.visualization.reliability_figure import draw_reliability
from mmengine.registry import init_default_scope

HEADER = ('', *Calibration._fields[:-1])


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Compare confidence and accuracy on the test data: '
        'expected calibration error, NLL, Brier score, reliability diagram; '
        'and with a temperature that is fitted on other images.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'ckpt_or_result',
        help='checkpoint, or predictions of `tools/test.py --out` (.json)')
    parser.add_argument(
        '--bins', type=positive, default=15, help='bins of the errors (15)')
    parser.add_argument(
        '--temperature-from',
        metavar='val|FILE',
        help='fit a temperature on these images, none of which may be tested '
        "on: those of the config's val_dataloader (with a checkpoint), or "
        'predictions of another split (.json)')
    add_table_and_figure(parser, 'the table', 'the reliability diagram')
    add_cfg_options(parser)
    args = parser.parse_args()
    source = args.temperature_from
    if source == 'val' and args.ckpt_or_result.lower().endswith(RESULT_FILES):
        parser.error('--temperature-from val needs a checkpoint to predict '
                     f'with, not {args.ckpt_or_result}. Give the predictions '
                     'of the validation images as a file.')
    if source not in (None, 'val'):
        if not source.endswith(RESULT_FILES):
            parser.error(f'--temperature-from {source}: expected val, or a '
                         'file whose name ends in '
                         f'{", ".join(RESULT_FILES)}.')
        if not os.path.isfile(source):
            parser.error(f'--temperature-from {source}: there is no such '
                         'file.')
    return args


def check_images(args: argparse.Namespace) -> None:
    """Check, before anything is predicted, what the temperature is fitted on.

    Args:
        args (Namespace): The options.
    """
    check_apart(args.temperature_from,
                coming_paths(args, args.temperature_from, 'val'),
                coming_paths(args, args.ckpt_or_result, 'test'))


def coming_paths(args: argparse.Namespace, source: str,
                 split: str) -> List[Optional[str]]:
    """List the image files that ``load_predictions`` will name.

    Args:
        args (Namespace): The options.
        source (str): A result file; anything else stands for the data of the
            config.
        split (str): ``'val'`` or ``'test'``.

    Returns:
        list[str | None]: The files; none, where a dataset does not list its
        images.
    """
    if source.lower().endswith(RESULT_FILES):
        return read_predictions(source).paths
    cfg = load_config(args.config, args.cfg_options)
    name = f'{split}_dataloader'
    if not cfg.get(name):
        sys.exit(f'{args.config} has no {name} whose images could be '
                 'predicted. Add it, or give predictions as a file.')
    check_dataset_folders(cfg, (name, ))
    dataset = build_without_pipeline(cfg[name].dataset)
    if not hasattr(dataset, 'get_data_info'):
        return []
    return [
        dataset.get_data_info(i).get('img_path') for i in range(len(dataset))
    ]


def check_apart(source: str, fitted: Sequence[Optional[str]],
                tested: Sequence[Optional[str]]) -> None:
    """Check that no image is both fitted and tested on.

    Args:
        source (str): Where the images to fit on come from.
        fitted (Sequence[str | None]): Their files.
        tested (Sequence[str | None]): Files of the test images.
    """
    if None in fitted or None in tested:
        found = 'the results do not name their images'
    else:
        both = {*map(os.path.realpath, fitted)}.intersection(
            map(os.path.realpath, tested))
        if not both:
            return
        found = f'{len(both)} of its images are tested on'
    sys.exit(
        f'--temperature-from {source}: {found}. A temperature fitted on test '
        'images makes the test too good. Give predictions of held-out '
        'training images, such as those of a fold of '
        'tools/kfold-cross-valid.py.')


def load_other(args: argparse.Namespace, tested: Predictions) -> Predictions:
    """Load the images to fit on, and check that none of them is tested on.

    Args:
        args (Namespace): The options.
        tested (Predictions): Of the test images.

    Returns:
        Predictions: To fit on.
    """
    if args.temperature_from == 'val':
        other = load_predictions(args.config, args.ckpt_or_result,
                                 args.cfg_options, 'val')
    else:
        other = load_predictions(args.config, args.temperature_from)
    if other.scores.shape[1] != tested.scores.shape[1]:
        sys.exit(f'--temperature-from {args.temperature_from}: it has '
                 f'{other.scores.shape[1]} classes, the tested predictions '
                 f'{tested.scores.shape[1]}.')
    check_apart(args.temperature_from, other.paths, tested.paths)
    return other


def main() -> None:
    """Write and draw what the command line asks for."""
    args = parse_args()
    init_default_scope('mmpretrain')
    if args.temperature_from:
        check_images(args)
    tested = load_predictions(args.config, args.ckpt_or_result,
                              args.cfg_options)
    found = {'as predicted': calibration(*tested[:2], args.bins)}
    if args.temperature_from:
        other = load_other(args, tested)
        temperature = fit_temperature(*other[:2])
        found[f'temperature {temperature:.3g}'] = calibration(
            scale_temperature(tested.scores, temperature), tested.labels,
            args.bins)
        print(f'Temperature {temperature:.4g}, fitted on {len(other.labels)} '
              f'images of {args.temperature_from}.')
    table = [(name, *(f'{value:.4f}' for value in result[:-1]))
             for name, result in found.items()]
    print(f'{len(tested.labels)} images, {args.bins} bins.\n\n'
          f'{markdown_table(HEADER, table)}')
    if args.out:
        write_table(args.out, HEADER, table)
        print(f'Wrote {args.out}')
    if args.show_path:
        args.show_path.parent.mkdir(parents=True, exist_ok=True)
        draw_reliability(found).savefig(args.show_path, dpi=args.dpi)
        print(f'Wrote {args.show_path}')


if __name__ == '__main__':
    run_tool(main)
