"""What confusion brings to an embedding: benchmark_ecaml.py CONFIG."""
import argparse
import time

from csd_mmpretrain.benchmark.summary import Summary
from csd_mmpretrain.checkpoints.pretrained import use_weights
from csd_mmpretrain.checkpoints.trained_model import (
    load_model,
    load_pretrained_model,
)
from csd_mmpretrain.methods.ecaml.embedding_study import (
    VARIANTS,
    judge,
    study_features,
    train_embedding,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_weights,
    amount,
    positive,
    table_file,
)
from csd_mmpretrain.utils.measure import machine_name
from csd_mmpretrain.utils.tables import markdown_table, write_table
from rich.progress import track

RECALL = 'unseen R@1'


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Train the embedding of an ECAML config on features of '
        'its backbone that stay as they are: the metric loss alone, with '
        'confusion, without its row norm, and with the row norm alone. A '
        'table shows retrieval and clustering of seen and unseen classes. '
        'All rows are reported; nothing is chosen.')
    parser.add_argument('config', help='one of configs/ecaml')
    parser.add_argument(
        '--checkpoint', metavar='FILE',
        help='a checkpoint for the backbone, of any model that has it, in '
        'place of pretrained weights')
    add_weights(parser)
    parser.add_argument(
        '--rates', type=amount, nargs='+', default=[1e-4, 1e-3], metavar='LR',
        help='learning rates of the embedding (1e-4 1e-3)')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0, 1, 2], metavar='SEED',
        help='seeds of start and batches (0 1 2)')
    parser.add_argument(
        '--steps', type=positive, default=200, help='of a training (200)')
    parser.add_argument(
        '--views', type=positive, default=4,
        help='random views of each training image (4)')
    parser.add_argument(
        '--out', type=table_file, metavar='FILE',
        help='write the table here, too: .md or .csv')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    args.rates = list(dict.fromkeys(args.rates))
    if len(set(args.seeds)) < len(args.seeds):
        parser.error('--seeds: one of them is there twice; runs that are '
                     'equal make a deviation too small.')
    return args


def main() -> None:
    """Print and write the table."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if args.checkpoint is not None:
        model = load_model(cfg, args.checkpoint, args.device, 'backbone').model
    else:
        if args.weights is not None:
            use_weights(cfg, args.weights)
        model = load_pretrained_model(cfg, args.device)
    start = time.perf_counter()
    features = study_features(cfg, model, args.views)
    before = judge(features)
    header = ('embedding', 'learning rate', *before,
              'unseen R@1, to the metric loss alone')
    rows = [('none: the features', '',
             *(f'{v:.1f}' for v in before.values()), '')]
    jobs = [(lr, name, seed) for lr in args.rates for name in VARIANTS
            for seed in args.seeds]
    scores = {}
    for lr, name, seed in track(jobs, 'Trainings'):
        head = train_embedding(cfg, features.views, name, lr, args.steps, seed)
        scores.setdefault((name, f'{lr:g}'), []).append(judge(features, head))
    for (name, lr), found in scores.items():
        alone = scores[next(iter(VARIANTS)), lr]
        differences = [score[RECALL] - other[RECALL]
                       for score, other in zip(found, alone)]
        rows.append((name, lr, *(
            Summary([score[column] for score in found]).text
            for column in before), '' if len(found) < 2 or found is alone else
            Summary([], differences).interval_text))
    print(f'{args.config}: {len(features.views[0].labels)} training images in '
          f'{args.views} views, {len(features.seen.labels)} seen and '
          f'{len(features.unseen.labels)} unseen ones, {args.steps} steps, '
          f'seeds {", ".join(map(str, args.seeds))}, '
          f'{time.perf_counter() - start:.0f} s on '
          f'{machine_name(args.device)}; per cent, mean ± deviation, '
          'difference with its 95 % interval\n')
    print(markdown_table(header, rows))
    if args.out is not None:
        write_table(args.out, header, rows)


if __name__ == '__main__':
    run_tool(main)
