"""Average SoyAgeing's five stages: WORK_DIRS, or STAGE=FILE..."""
import argparse
from math import isfinite
from numbers import Real
from pathlib import Path
from statistics import mean
from typing import Sequence, Tuple

from csd_mmpretrain.benchmark.run_logs import read_run, read_run_config
from csd_mmpretrain.datasets.dataset_settings import source_settings
from csd_mmpretrain.datasets.ultra_fgvc import SoyAgeing
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import ToolParser
from csd_mmpretrain.utils.plain_files import load_plain
from csd_mmpretrain.utils.tables import markdown_table
from csd_mmpretrain.utils.type_name import type_name


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description="Average the scores of SoyAgeing's stages R1, R3, R4, R5 "
        'and R6, of which each has a model of its own.')
    parser.add_argument(
        'results',
        nargs='+',
        metavar='WORK_DIR|STAGE=FILE',
        help='work directories of tools/train.py, whose configs tell the '
        'stage; or the metrics of `tools/test.py --out FILE --out-item '
        'metrics`, such as R1=r1.json')
    parser.add_argument(
        '--metric',
        default='accuracy/top1',
        help="the validation's name of the score (accuracy/top1)")
    parser.add_argument(
        '--score',
        choices=['last', 'best'],
        default='last',
        help="of a work directory: the last validation's score, or the best "
        '(last)')
    return parser.parse_args()


def read_stage(result: str, args: argparse.Namespace) -> Tuple[str, float]:
    """Read the stage and the score of one model.

    Args:
        result (str): A work directory, or ``STAGE=FILE``.
        args (Namespace): The options.

    Returns:
        tuple[str, float]: Both.

    Raises:
        ValueError: If the config is not of SoyAgeing, the training has not
            finished, or the file has no such score.
    """
    stage, equal, path = result.partition('=')
    if equal and not Path(result).is_dir():
        metrics = load_plain(path)
        if not isinstance(metrics, dict) or args.metric not in metrics:
            raise ValueError(f'{path} has no {args.metric!r}; it has '
                             f'{", ".join(map(str, metrics))}.')
        score = metrics[args.metric]
        if not isinstance(score, Real) or not isfinite(score):
            raise ValueError(f'{path}: {args.metric} is {score!r}, not a '
                             'finite number.')
        return stage, float(score)
    dataset = read_run_config(result).train_dataloader.dataset
    sources = list(source_settings(dataset))
    names = [type_name(source['type']) for source in sources]
    if names != ['SoyAgeing']:
        raise ValueError(f'{result} is a training on {", ".join(names)}, not '
                         'on SoyAgeing.')
    run = read_run(result, args.metric)
    if not run.finished:
        raise ValueError(f'{result} has not finished: its last validation is '
                         f'at {max(run.scores)} of {run.planned}. Go on with '
                         '`tools/train.py CONFIG --resume`.')
    return sources[0].get('stage', 'R1'), getattr(run, args.score)


def five_stage_mean(scores: Sequence[Tuple[str, float]]) -> float:
    """Average the scores of the five models, one per stage of growth.

    Args:
        scores (Sequence[tuple[str, float]]): Stage and score of each.

    Returns:
        float: The mean.

    Raises:
        ValueError: If a stage is missing, given twice or unknown.
    """
    stages = [stage for stage, _ in scores]
    known = SoyAgeing.STAGES
    faults = [f'{stage} is missing' for stage in known if stage not in stages]
    faults += [f'{stage} is there twice' for stage in sorted(set(stages))
               if stages.count(stage) > 1]
    faults += [f'{stage} is no stage' for stage in sorted(set(stages))
               if stage not in known]
    if faults:
        raise ValueError(f'SoyAgeing: {", ".join(faults)}. The mean is of '
                         f'one score of each of {", ".join(known)}.')
    return mean(score for _, score in scores)


def main() -> None:
    """Print the table of the stages and their mean."""
    args = parse_args()
    scores = sorted(read_stage(result, args) for result in args.results)
    rows = [*scores, ('mean', five_stage_mean(scores))]
    print(markdown_table(('stage', args.metric),
                         [(name, f'{score:.2f}') for name, score in rows]))


if __name__ == '__main__':
    run_tool(main)
