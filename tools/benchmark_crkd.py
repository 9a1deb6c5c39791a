"""What class relations bring to discovery: benchmark_crkd.py CONFIG."""
import argparse
import time

from csd_mmpretrain.benchmark.summary import Summary
from csd_mmpretrain.checkpoints.pretrained import use_weights
from csd_mmpretrain.checkpoints.trained_model import (
    load_pretrained_model,
)
from csd_mmpretrain.methods.crkd.discovery_study import (
    VARIANTS,
    judge_head,
    judge_kmeans,
    load_stage_one,
    stage_one_config,
    study_features,
    train_heads,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_weights,
    positive,
    table_file,
)
from csd_mmpretrain.utils.measure import machine_name
from csd_mmpretrain.utils.tables import markdown_table, write_table
from rich.progress import track

DIFFERENCE = 'aware'


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Discover novel classes on features that stay as they '
        "are: k-means, and the heads of a Cr-KD config's stage 2 with the "
        'cluster loss alone, with the class relation, with its weight fixed '
        'to 1, and with T = 1. A table shows both protocols. All rows are '
        'reported; nothing is chosen.')
    parser.add_argument('config', help='a stage 2 of configs/crkd')
    parser.add_argument(
        '--stage1', nargs='+', required=True, metavar='FILE',
        help='checkpoints of stage 1, one for each seed, or one for all')
    add_weights(parser)
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0, 1, 2], metavar='SEED',
        help='seeds of heads and batches (0 1 2)')
    parser.add_argument(
        '--num-novel', type=positive, nargs='+', default=[], metavar='C',
        help='further numbers of clusters, for rows of their own')
    parser.add_argument(
        '--views', type=positive, default=8,
        help='random views of each training photo (8)')
    parser.add_argument(
        '--out', type=table_file, metavar='FILE',
        help='write the table here, too: .md or .csv')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if len(args.stage1) not in (1, len(args.seeds)):
        parser.error(f'--stage1 has {len(args.stage1)} files for '
                     f'{len(args.seeds)} seeds; give one, or one for each.')
    if len(set(args.seeds)) < len(args.seeds):
        parser.error('--seeds: one of them is there twice; runs that are '
                     'equal make a deviation too small.')
    if args.views < 2:
        parser.error('--views: at least 2 are needed, as one view predicts '
                     'what another says.')
    return args


def main() -> None:
    """Print and write the table."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    plain = stage_one_config(cfg)
    settings = cfg.model.head
    clusters = list(dict.fromkeys([settings.num_novel, *args.num_novel]))
    start = time.perf_counter()
    scores = {}

    def add(name: str, num_novel: int, found: dict) -> None:
        scores.setdefault((name, num_novel), []).append(found)

    if args.weights is not None:
        use_weights(plain, args.weights)
        features = study_features(
            cfg, load_pretrained_model(plain, args.device), 1)
        for number in clusters:
            add('k-means, start features', number,
                judge_kmeans(features, settings.num_known, number))
    features = None
    for i, seed in enumerate(track(args.seeds, 'Seeds')):
        if features is None or len(args.stage1) > 1:
            model = load_stage_one(cfg, args.stage1[i % len(args.stage1)],
                                   args.device)
            features = study_features(cfg, model, args.views)
        for number in clusters:
            add('k-means, stage-1 features', number,
                judge_kmeans(features, settings.num_known, number))
            for name, changes in VARIANTS.items():
                head = train_heads(cfg, features, model.head,
                                   dict(changes, num_novel=number), seed)
                add(name, number, judge_head(features, head))
    columns = list(scores[next(iter(VARIANTS)), clusters[0]][0])
    header = ('heads', 'clusters', *columns, 'aware, to L_cluster alone')
    rows = []
    for (name, number), found in sorted(
            scores.items(), key=lambda item: clusters.index(item[0][1])):
        alone = scores[next(iter(VARIANTS)), number]
        rows.append((name, number, *(
            Summary([score[column] for score in found]).text
            if column in found[0] else '' for column in columns),
            '' if len(found) < 2 or found is alone or len(found[0]) < 3
            else Summary([], [
                score[DIFFERENCE] - other[DIFFERENCE]
                for score, other in zip(found, alone)]).interval_text))
    print(f'{args.config}: {len(features.train.labels)} training and '
          f'{len(features.test.labels)} test photos, '
          f'{settings.num_known} known classes, batches of '
          f'{cfg.train_dataloader.batch_size}, {cfg.train_cfg.max_epochs} '
          f'epochs, {args.views} views, seeds '
          f'{", ".join(map(str, args.seeds))}, '
          f'{time.perf_counter() - start:.0f} s on '
          f'{machine_name(args.device)}; per cent, mean ± deviation, '
          'difference with its 95 % interval\n')
    print(markdown_table(header, rows))
    if args.out is not None:
        write_table(args.out, header, rows)


if __name__ == '__main__':
    run_tool(main)
