"""Train a model: python tools/train.py CONFIG."""
import sys

from csd_mmpretrain.datasets.data_check import check_data
from csd_mmpretrain.runtime.launch import launch
from csd_mmpretrain.runtime.run_options import (
    load_config,
    make_train_config,
    make_train_parser,
)
from csd_mmpretrain.runtime.run_tool import run_tool


def main() -> None:
    """Train with the config and options of the command line."""
    args = make_train_parser().parse_args()
    if args.check_data:
        sys.exit(not check_data(load_config(args.config, args.cfg_options)))
    launch(make_train_config(args), lambda runner: runner.train())


if __name__ == '__main__':
    run_tool(main)
