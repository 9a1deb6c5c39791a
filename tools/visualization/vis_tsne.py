"""Draw features by t-SNE or UMAP: vis_tsne.py CONFIG --checkpoint CKPT."""
import argparse
import csv
import os
from typing import Dict, List, Sequence, Tuple

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.evaluation.features import STAGES, collect_features
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_dpi,
    amount,
    figure_file,
    output_file,
)
from csd_mmpretrain.visualization.embedding import (
    METHODS,
    make_embedder,
    separation,
)
from csd_mmpretrain.visualization.embedding_figure import (
    draw_embedding_figure,
)
from csd_mmpretrain.visualization.embedding_inputs import choose_images
from csd_mmpretrain.visualization.figure_pixels import figure_pixels
from mmengine.config import Config
import numpy as np
from PIL import Image
from rich.progress import track
from torch.utils.data import DataLoader

NAMES = dict(tsne='t-SNE', umap='UMAP')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Draw the features of a dataset in the plane (t-SNE '
        'needs the extra `vis`, UMAP the extra `umap`). Beside the figure, '
        'FILE.npz holds points, features and labels, and FILE.csv the '
        'points.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--checkpoint', required=True, help='checkpoint of its model')
    parser.add_argument(
        '--before',
        metavar='FILE',
        help='pretrained weights, or an earlier checkpoint, whose features '
        'of the same images are drawn on the left')
    parser.add_argument(
        '--work-dir',
        metavar='DIR',
        help='where the figure goes; that of the config, or '
        'work_dirs/<config name>, by default')
    parser.add_argument(
        '--out',
        type=figure_file,
        metavar='FILE',
        help='.png or .pdf; tsne.png or umap.png in --work-dir by default')
    parser.add_argument(
        '--test-cfg',
        metavar='CONFIG',
        help='another config whose dataset is drawn')
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='test',
        help='which dataloader of the config (test); its images go through '
        'the pipeline of the test')
    parser.add_argument(
        '--vis-stage',
        choices=STAGES,
        help='where the features come from; the neck by default')
    parser.add_argument(
        '--class-idx',
        nargs='+',
        metavar='CLASS',
        help='the classes to draw, by number or name; by default at most '
        '--max-num-class, evenly chosen')
    parser.add_argument(
        '--max-num-class',
        type=int,
        default=20,
        help='how many classes at most, without --class-idx (20)')
    parser.add_argument(
        '--max-num-samples',
        type=int,
        default=100,
        help='how many images per class at most, evenly chosen (100)')
    parser.add_argument(
        '--normalize',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='divide features by their L2 norm, as DDL and retrieval do, so '
        'that distances are those of angles (yes)')
    parser.add_argument(
        '--method',
        choices=METHODS,
        default='tsne',
        help='how to embed the features (tsne)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the embedding (0)')
    add_device(parser)
    parser.add_argument(
        '--legend',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='name the classes beside the plot (yes)')
    parser.add_argument(
        '--show', action='store_true', help='show the figure in a window, too')
    add_dpi(parser, 150)
    add_cfg_options(parser)
    parser.add_argument(
        '--n-components',
        type=int,
        default=2,
        help='dimensions of the embedding; the first two are drawn (2)')
    tsne = parser.add_argument_group('t-SNE')
    tsne.add_argument(
        '--perplexity',
        type=amount,
        help='effective number of neighbors (30, or a third of the images '
        'less one, where that is less)')
    tsne.add_argument(
        '--early-exaggeration',
        type=amount,
        default=12.0,
        help='how tight the clusters are at first (12)')
    tsne.add_argument(
        '--learning-rate',
        type=_rate,
        default='auto',
        help='a number, or auto, which follows the number of images (auto)')
    tsne.add_argument(
        '--n-iter', type=int, default=1000, help='iterations, 250 or more '
        '(1000)')
    tsne.add_argument(
        '--n-iter-without-progress',
        type=int,
        default=300,
        help='iterations without progress before it stops (300)')
    tsne.add_argument(
        '--init',
        choices=['pca', 'random'],
        default='pca',
        help='first positions (pca, which keeps the global structure)')
    umap = parser.add_argument_group('UMAP')
    umap.add_argument(
        '--n-neighbors', type=int, default=15, help='neighbors (15)')
    umap.add_argument(
        '--min-dist',
        type=amount,
        default=0.1,
        help='how close points may come (0.1)')
    args = parser.parse_args()
    for name, least in (('max_num_class', 1), ('max_num_samples', 1),
                        ('n_components', 2), ('n_iter', 250)):
        if getattr(args, name) < least:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)}: '
                         f'at least {least} is needed.')
    return args


def _rate(text: str) -> object:
    return text if text == 'auto' else float(text)


def method_options(args: argparse.Namespace) -> Dict[str, object]:
    """Collect the options of the chosen method.

    Args:
        args (Namespace): The command line.

    Returns:
        dict: Of its class in scikit-learn or umap-learn.
    """
    names = ('n_components', 'n_neighbors', 'min_dist')
    if args.method == 'tsne':
        names = ('n_components', 'perplexity', 'early_exaggeration',
                 'learning_rate', 'n_iter', 'n_iter_without_progress', 'init')
    return {name: getattr(args, name) for name in names}


def model_features(args: argparse.Namespace, cfg: Config, checkpoint: str,
                   loader: DataLoader) -> np.ndarray:
    """Compute the features of the images.

    Args:
        args (Namespace): The command line.
        cfg (Config): The whole config.
        checkpoint (str): The weights.
        loader (DataLoader): Over the images.

    Returns:
        ndarray: (N, C), float32, of unit length with ``--normalize``.
    """
    model = load_model(cfg, checkpoint, args.device, args.vis_stage).model
    batches = track(loader, f'Features of {checkpoint}')
    features, _ = collect_features(model, batches, args.vis_stage)
    features = features.cpu().numpy()
    if args.normalize:
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        features = features / np.maximum(norms, 1e-12)
    return features


def score_line(features: np.ndarray, labels: np.ndarray, of: str) -> str:
    """Say how well the features separate the classes.

    Args:
        features (ndarray): (N, C), floating.
        labels (ndarray): (N, ), integers.
        of (str): The kind of features.

    Returns:
        str: One line.
    """
    scores = separation(features, labels)
    line = f'1-NN {scores["1-NN"]:.1%}'
    if scores['silhouette'] is not None:
        line += f', silhouette {scores["silhouette"]:.2f}'
    return f'{line} in the {features.shape[1]}-d {of}'


def output_path(args: argparse.Namespace, cfg: Config) -> str:
    """Tell where the figure goes.

    Args:
        args (Namespace): The command line.
        cfg (Config): The whole config.

    Returns:
        str: A path that ends in .png or .pdf.
    """
    if args.out is not None:
        return args.out
    name = os.path.splitext(os.path.basename(args.config))[0]
    folder = args.work_dir or cfg.get('work_dir') or os.path.join(
        'work_dirs', name)
    return output_file(os.path.join(folder, f'{args.method}.png'))


def save_points(path: str, columns: Sequence[Tuple[str, np.ndarray]],
                infos: Sequence[dict], names: Dict[int, str]) -> None:
    """Write the points of each image as a table.

    Args:
        path (str): The .csv file.
        columns (Sequence[tuple[str, ndarray]]): A prefix and the points,
            (N, d), of each plot.
        infos (Sequence[dict]): The images.
        names (dict[int, str]): Names of the classes.
    """
    heads: List[str] = ['image', 'label', 'class']
    for prefix, points in columns:
        heads += [f'{prefix}{i}' for i in range(points.shape[1])]
    table = np.concatenate([points for _, points in columns], axis=1)
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        for info, row in zip(infos, table):
            label = info['gt_label']
            writer.writerow(
                [info.get('img_path') or '', label, names[label], *row])


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    out = output_path(args, cfg)
    data = cfg if args.test_cfg is None else load_config(args.test_cfg)
    check_dataset_folders(data, (f'{args.split}_dataloader', ))
    loader, names = choose_images(data, args.split, args.class_idx,
                                  args.max_num_class, args.max_num_samples)
    infos = loader.dataset.infos
    print(f'{len(infos)} images of {len(names)} classes')
    embedder = make_embedder(len(infos), args.method, args.seed,
                             **method_options(args))

    models = [('', args.checkpoint)]
    if args.before is not None:
        models = [('before', args.before), ('after', args.checkpoint)]
    labels = np.array([info['gt_label'] for info in infos])
    panels, columns, arrays = [], [], dict(labels=labels)
    for when, checkpoint in models:
        features = model_features(args, cfg, checkpoint, loader)
        scores = score_line(
            features, labels, f'{"unit " * args.normalize}features of the '
            f'{args.vis_stage or "neck"}')
        points = embedder.fit_transform(features).astype(np.float32)
        title = f'{when} training: ' if when else ''
        panels.append((f'{title}{NAMES[args.method]}\n{scores}', points))
        prefix = f'{when}_' if when else ''
        columns.append((f'{prefix}x', points))
        arrays[f'{prefix}points'] = points
        arrays[f'{prefix}features'] = features
        print(f'{checkpoint}: {scores}')

    figure = draw_embedding_figure(panels, labels, names, args.legend)
    os.makedirs(os.path.dirname(out) or '.', exist_ok=True)
    figure.savefig(out, dpi=args.dpi)
    stem = os.path.splitext(out)[0]
    paths = [str(info.get('img_path') or '') for info in infos]
    np.savez_compressed(
        f'{stem}.npz', paths=np.array(paths, dtype=str),
        class_labels=np.array(list(names)),
        class_names=np.array(list(names.values())), **arrays)
    save_points(f'{stem}.csv', columns, infos, names)
    print(f'Wrote {out}, {stem}.npz and {stem}.csv')
    if args.show:
        Image.fromarray(figure_pixels(figure)).show('Embedding')


if __name__ == '__main__':
    run_tool(main)
