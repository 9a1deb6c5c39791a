"""Evaluate features: evaluate_features.py CONFIG CHECKPOINT."""
import argparse

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.evaluation.feature_data import labelled_splits
from csd_mmpretrain.evaluation.feature_table import (
    FRACTIONS,
    HEADER,
    SEEDS,
    feature_table,
)
from csd_mmpretrain.evaluation.features import STAGES, collect_features
from csd_mmpretrain.evaluation.knn import KS, TEMPERATURE
from csd_mmpretrain.evaluation.retrieval import PROTOCOLS
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    amount,
    positive,
    table_file,
)
from csd_mmpretrain.utils.tables import markdown_table, write_table
from rich.progress import track


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Evaluate the features of any classifier or '
        'self-supervised model by weighted kNN, retrieval under named '
        'protocols, and linear probes with parts of the labels. Training '
        'images are those of the train_dataloader, test images those of the '
        'test_dataloader (or val_dataloader); both go through the pipeline '
        'of the test.')
    parser.add_argument('config', help='config file of the model')
    parser.add_argument(
        'checkpoint', help='its checkpoint, or one of its backbone alone')
    parser.add_argument(
        '--data-config',
        metavar='CONFIG',
        help='a classification config that has the data, where that of the '
        'model has no labels or no test data; images are loaded as the '
        "model's test_pipeline says, where it has one")
    parser.add_argument(
        '--stage',
        choices=STAGES,
        help='where the features come from; by default the neck of a '
        'classifier, the backbone of a self-supervised model')
    parser.add_argument(
        '--ks',
        type=positive,
        nargs='*',
        default=KS,
        metavar='K',
        help='neighbors of kNN (10 20 100 200); none leaves it out')
    parser.add_argument(
        '--temperature',
        type=amount,
        default=TEMPERATURE,
        help='temperature of the votes of kNN (0.07)')
    parser.add_argument(
        '--protocols',
        nargs='*',
        choices=PROTOCOLS,
        default=PROTOCOLS,
        help='protocols of retrieval, which are not comparable (all three)')
    parser.add_argument(
        '--fractions',
        type=amount,
        nargs='*',
        default=FRACTIONS,
        metavar='PART',
        help='fractions of the training labels for the linear probe, with at '
        'least one image per class (0.01 0.05 0.1 0.2 0.5 1); none leaves it '
        'out')
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=SEEDS,
        metavar='SEED',
        help='seeds of the choice of these images (0 1 2)')
    parser.add_argument(
        '--out',
        type=table_file,
        metavar='FILE',
        help='write the table here, too: .md or .csv')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    for fraction in args.fractions:
        if not 0 < fraction <= 1:
            parser.error(f'--fractions {fraction:g}: fractions must be more '
                         'than 0 and at most 1; 0.1 is 10 %.')
    if not args.temperature > 0:
        parser.error(f'--temperature {args.temperature:g}: it must be more '
                     'than 0.')
    return args


def main() -> None:
    """Print and write the table of the features."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    data = cfg if args.data_config is None else load_config(args.data_config)
    images = labelled_splits(data, cfg)
    model = load_model(cfg, args.checkpoint, args.device, args.stage).model
    train, test = (
        collect_features(
            model, track(images[split].loader, f'Features of {split} images'),
            args.stage) for split in ('train', 'test'))
    table = feature_table(train, test, args.ks, args.temperature,
                          args.protocols, args.fractions, args.seeds)
    height, width = images['test'].loader.dataset[0]['inputs'].shape[1:]
    print(f'{args.checkpoint}: {train.features.size(1)} channels, '
          f'{len(train.labels)} training and {len(test.labels)} test images '
          f'of {width} x {height} px, numbers in per cent\n')
    print(markdown_table(HEADER, table.rows))
    print('\n' + '\n'.join(table.notes))
    if args.out is not None:
        write_table(args.out, HEADER, table.rows)


if __name__ == '__main__':
    run_tool(main)
