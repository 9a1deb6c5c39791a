"""Test a model: python tools/test.py CONFIG CHECKPOINT."""
from csd_mmpretrain.evaluation.dump_predictions import DumpPredictions
from csd_mmpretrain.evaluation.predictions import RESULT_FILES
from csd_mmpretrain.runtime.launch import launch
from csd_mmpretrain.runtime.run_options import (
    make_test_config,
    make_test_parser,
)
from csd_mmpretrain.runtime.run_tool import run_tool
import mmengine
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

METRIC_FILES = ('.yaml', '.yml', *RESULT_FILES)


def main() -> None:
    """Test with the config, checkpoint and options of the command line."""
    parser = make_test_parser()
    args = parser.parse_args()
    metrics = args.out_item == 'metrics'
    endings = METRIC_FILES if metrics else RESULT_FILES
    if args.out and not args.out.endswith(endings):
        parser.error(f'--out {args.out}: the name of a file of '
                     f'{"metrics" if metrics else "predictions"} must end in '
                     f'{", ".join(endings)}.')

    def test(runner: Runner) -> None:
        if args.out and not metrics:
            json = args.out.endswith('.json')
            dump = DumpPredictions if json else DumpResults
            runner.test_evaluator.metrics.append(dump(args.out))
        found = runner.test()
        if args.out and metrics:
            mmengine.dump(found, args.out)

    launch(make_test_config(args), test)


if __name__ == '__main__':
    run_tool(main)
