"""Measure what probabilities are worth: CONFIG CHECKPOINT_OR_RESULT."""
import argparse
import sys

from mmengine.registry import init_default_scope

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.evaluation.calibration import (
    Calibration,
    calibration,
    fit_temperature,
    scale_temperature,
)
from csd_mmpretrain.evaluation.predictions import (
    Predictions,
    load_predictions,
)
from csd_mmpretrain.evaluation.tables import markdown_table, write_table
from csd_mmpretrain.tool_options import (
    add_cfg_options,
    add_table_and_figure,
    positive,
)
from csd_mmpretrain.visualization.reliability_figure import draw_reliability

HEADER = ('', *Calibration._fields[:-1])


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description='Compare confidence and accuracy on the test data: '
        'expected calibration error, NLL, Brier score, reliability diagram; '
        'and with a temperature that is fitted on other images.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'ckpt_or_result',
        help='checkpoint, or predictions of `tools/test.py --out` (.pkl)')
    parser.add_argument(
        '--bins', type=positive, default=15, help='bins of the errors (15)')
    parser.add_argument(
        '--temperature-from',
        metavar='val|FILE',
        help='fit a temperature on these images, none of which may be tested '
        "on: those of the config's val_dataloader (with a checkpoint), or "
        'predictions of another split (.pkl)')
    add_table_and_figure(parser, 'the table', 'the reliability diagram')
    add_cfg_options(parser)
    args = parser.parse_args()
    result = args.ckpt_or_result.endswith(('.pkl', '.pickle'))
    source = args.temperature_from
    if source == 'val' and result:
        parser.error('--temperature-from val needs a checkpoint to predict '
                     f'with, not {args.ckpt_or_result}. Give the predictions '
                     'of the validation images as a file.')
    if source not in (None, 'val') and not source.endswith(
            ('.pkl', '.pickle')):
        parser.error(f'--temperature-from {source}: expected val, or a .pkl '
                     'file.')
    return args


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
    both = set(other.paths) & set(tested.paths) - {None}
    if both or None in other.paths + tested.paths:
        found = (f'{len(both)} of its images are tested on'
                 if both else 'the results do not name their images')
        sys.exit(
            f'--temperature-from {args.temperature_from}: {found}. A '
            'temperature fitted on test images makes the test too good. Give '
            'predictions of held-out training images, such as those of a '
            'fold of tools/kfold-cross-valid.py.')
    return other


def main() -> None:
    """Write and draw what the command line asks for."""
    args = parse_args()
    init_default_scope('mmpretrain')
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
    main()
