"""Train a model: python tools/train.py CONFIG."""
from csd_mmpretrain.engine.launch import launched_runner
from csd_mmpretrain.engine.run_options import (
    make_train_config,
    make_train_parser,
)


def main() -> None:
    """Train with the config and options of the command line."""
    cfg = make_train_config(make_train_parser().parse_args())
    with launched_runner(cfg) as runner:
        runner.train()


if __name__ == '__main__':
    main()
