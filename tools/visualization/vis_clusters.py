"""Draw what Cr-KD has discovered: vis_clusters.py CONFIG CHECKPOINT."""
import argparse
from functools import partial

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.methods.crkd.cluster_figure import (
    describe_cluster,
    draw_clusters,
    find_clusters,
)
from csd_mmpretrain.methods.crkd.unlabelled_photos import unlabelled_photos
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_dpi,
    default_figure,
    figure_file,
    positive,
    table_file,
)
from csd_mmpretrain.utils.tables import write_table
from csd_mmpretrain.visualization.figure_pages import save_pages


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Draw the clusters of unlabelled training photos: the '
        'surest photos of each, the known classes that it has most in common '
        'with, and, where the validation data tells labels, its purity.')
    parser.add_argument('config', help='a stage 2 of Cr-KD')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    parser.add_argument(
        '--shown', type=positive, default=6,
        help='photos of a cluster (6)')
    parser.add_argument(
        '--per-page', type=positive, default=10,
        help='clusters on a page (10)')
    parser.add_argument(
        '--list', type=table_file, metavar='FILE',
        help='write the cluster of each photo here: .csv or .md')
    parser.add_argument(
        '--out', type=figure_file, metavar='FILE',
        help='.png or .pdf; work_dirs/<config name>/clusters.png by default')
    add_dpi(parser, 150)
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.out is None:
        args.out = default_figure(args.config, 'clusters.png')
    return args


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    model = load_model(cfg, args.checkpoint, args.device).model
    if not getattr(model.head, 'num_novel', 0):
        raise ValueError(
            f'{args.config}: the head {type(model.head).__name__} has no '
            'clusters. Give a stage 2 of Cr-KD, one of configs/crkd.')
    photos = unlabelled_photos(cfg, model)
    clusters = find_clusters(model.head, photos.features, photos.labels)
    clusters.sort(key=lambda cluster: -len(cluster.photos))
    for cluster in clusters:
        print(describe_cluster(cluster, photos))
    if args.list is not None:
        write_table(args.list, ('photo', 'cluster', 'probability'), [
            (photos.paths[index], f'novel-{cluster.number}', f'{score:.3f}')
            for cluster in clusters
            for index, score in zip(cluster.photos, cluster.scores)])
    files = save_pages(
        partial(draw_clusters, photos=photos, shown=args.shown), clusters,
        args.per_page, args.out, args.dpi)
    print(f'{len(photos.paths)} photos in {len(clusters)} of '
          f'{model.head.num_novel} clusters: {", ".join(files)}')


if __name__ == '__main__':
    run_tool(main)
