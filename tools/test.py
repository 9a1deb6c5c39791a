"""Test a model: python tools/test.py CONFIG CHECKPOINT."""
import mmengine
from mmengine.evaluator import DumpResults

from csd_mmpretrain.engine.launch import launched_runner
from csd_mmpretrain.engine.run_options import (
    make_test_config,
    make_test_parser,
)


def main() -> None:
    """Test with the config, checkpoint and options of the command line."""
    args = make_test_parser().parse_args()
    with launched_runner(make_test_config(args)) as runner:
        if args.out and args.out_item != 'metrics':
            runner.test_evaluator.metrics.append(DumpResults(args.out))
        metrics = runner.test()
    if args.out and args.out_item == 'metrics':
        mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    main()
