"""Draw what queries find: vis_retrieval.py CONFIG CHECKPOINT."""
import argparse
from functools import partial
from typing import Dict

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.evaluation.feature_data import (
    LabelledImages,
    labelled_splits,
)
from csd_mmpretrain.evaluation.features import STAGES, collect_features
from csd_mmpretrain.evaluation.retrieval import PROTOCOLS, split_protocol
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_dpi,
    figure_file,
    positive,
)
from csd_mmpretrain.visualization.figure_pages import save_pages
from csd_mmpretrain.visualization.retrieval_rows import (
    draw_retrieval,
    retrieval_rows,
)
from rich.progress import track
import torch


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Draw queries and the gallery images that are nearest to '
        'them by the cosine of their features; those of the same class have '
        'a tick and a full frame, others a cross and a dashed frame.')
    parser.add_argument('config', help='config file of the model')
    parser.add_argument(
        'checkpoint', help='its checkpoint; one of the backbone alone serves')
    parser.add_argument(
        '--data-config',
        metavar='CONFIG',
        help='a classification config that has the data, where that of the '
        'model has no labels or no test data; images are loaded as the '
        "model's test_pipeline says, where it has one")
    parser.add_argument(
        '--protocol',
        choices=PROTOCOLS,
        default='train-gallery',
        help='which images are queries and gallery (train-gallery)')
    parser.add_argument(
        '--stage',
        choices=STAGES,
        help='where the features come from; by default the neck of a '
        'classifier, the backbone of a self-supervised model')
    parser.add_argument(
        '--num', type=positive, default=8, help='queries, evenly spread (8)')
    parser.add_argument(
        '--wrong-first',
        action='store_true',
        help='rather draw queries whose nearest image is wrong, those that '
        'are surest of it first')
    parser.add_argument(
        '--per-page', type=positive, default=8, help='queries on a page (8)')
    parser.add_argument(
        '--out',
        type=figure_file,
        default='retrieval.png',
        metavar='FILE',
        help='.png or .pdf (retrieval.png)')
    add_dpi(parser, 150)
    add_device(parser)
    add_cfg_options(parser)
    return parser.parse_args()


def check_findable(images: Dict[str, LabelledImages], protocol: str) -> None:
    """Check that a query has an image of its class to find.

    Args:
        images (dict[str, LabelledImages]): See :func:`labelled_splits`.
        protocol (str): One of the protocols.

    Raises:
        ValueError: If no query has one.
    """
    labels = [[info['gt_label'] for info in images[name].loader.dataset.infos]
              for name in ('train', 'test')]
    split = split_protocol(protocol, *map(len, labels))
    labels = torch.tensor(labels[0] + labels[1])
    classes, counts = labels[split.gallery].unique(return_counts=True)
    findable = classes[counts > (split.own is not None)]
    if not torch.isin(labels[split.queries], findable).any():
        raise ValueError(
            '--wrong-first draws queries that could have found their class, '
            f'but none of the {len(split.queries)} queries of {protocol} has '
            'another image of its class in the gallery of '
            f'{len(split.gallery)} images. Leave out `--wrong-first`, '
            'choose another `--protocol`, or name data with more images per '
            'class with `--data-config CONFIG`.')


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    data = cfg if args.data_config is None else load_config(args.data_config)
    images = labelled_splits(data, cfg)
    if args.wrong_first:
        check_findable(images, args.protocol)
    model = load_model(cfg, args.checkpoint, args.device, args.stage).model
    features, labels, paths = [], [], []
    for split in ('train', 'test'):
        batches = track(images[split].loader, f'Features of {split} images')
        found = collect_features(model, batches, args.stage)
        features.append(found[0])
        labels.append(found[1])
        paths += images[split].paths
    num_train, labels = len(labels[0]), torch.cat(labels)
    rows = retrieval_rows(
        torch.cat(features), labels, num_train, args.protocol, args.num,
        wrong_first=args.wrong_first)
    wrong = ', wrong ones first' if args.wrong_first else ''
    draw = partial(
        draw_retrieval, paths=paths, labels=labels.tolist(),
        classes=images['test'].classes,
        title=f'Retrieval, {args.protocol}{wrong}: cosine below each image')
    files = save_pages(draw, rows, args.per_page, args.out, args.dpi)
    right = sum(row.right[0] for row in rows)
    print(f'{len(rows)} queries ({args.protocol}), {right} of them with the '
          f'right nearest image: {", ".join(files)}')


if __name__ == '__main__':
    run_tool(main)
