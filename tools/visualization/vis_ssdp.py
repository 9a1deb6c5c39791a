"""Draw I, P, M and I' of a model: vis_ssdp.py CONFIG CHECKPOINT [IMAGES]."""
import argparse
import os

import torch
from mmengine.config import DictAction

from csd_mmpretrain.engine.data_root import check_dataset_folders
from csd_mmpretrain.engine.run_options import load_config
from csd_mmpretrain.models.views.discrepancy_mask_view import MODES
from csd_mmpretrain.visualization import draw_ssdp_figure, ssdp_rows
from csd_mmpretrain.visualization.ssdp_inputs import (
    dataset_items,
    file_items,
    load_model,
    second_view,
)
from csd_mmpretrain.visualization.ssdp_rows import check_pattern_map, row_title


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description='Draw image, pattern map, mask and second view.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        help='checkpoint of its model, or pretrained weights of the backbone')
    parser.add_argument(
        'images',
        nargs='*',
        help='image files or folders; the dataset of the config by default')
    parser.add_argument(
        '--split',
        choices=['train', 'test'],
        default='test',
        help='which part of the dataset to draw (test)')
    parser.add_argument(
        '--num', type=int, default=6, help='how many images at most (6)')
    parser.add_argument(
        '--mode',
        choices=MODES,
        help="how the mask makes the second view, in place of the config's")
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='.png or .pdf; work_dirs/<config name>/ssdp.png by default')
    parser.add_argument('--dpi', type=int, default=150, help='sharpness (150)')
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu or cuda; a GPU by default, where there is one')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config')
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num {args.num}: at least one image is needed.')
    if args.out is None:
        name = os.path.splitext(os.path.basename(args.config))[0]
        args.out = os.path.join('work_dirs', name, 'ssdp.png')
    if not args.out.lower().endswith(('.png', '.pdf')):
        parser.error(f'--out {args.out}: the name must end in .png or .pdf.')
    return args


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)

    model, classes, has_classifier = load_model(cfg, args.checkpoint,
                                                args.device)
    check_pattern_map(model)
    view = second_view(cfg, args.mode)
    if args.images:
        items = file_items(cfg, args.images, args.num)
    else:
        check_dataset_folders(cfg, (f'{args.split}_dataloader', ))
        items, classes = dataset_items(cfg, args.split, args.num)

    rows = ssdp_rows(model, items, view)
    titles = [row_title(row, classes, has_classifier) for row in rows]
    figure = draw_ssdp_figure([row.image for row in rows],
                              [row.pattern for row in rows],
                              [row.mask for row in rows],
                              [row.second for row in rows],
                              titles if any(titles) else None)
    os.makedirs(os.path.dirname(args.out) or '.', exist_ok=True)
    figure.savefig(args.out, dpi=args.dpi)
    print(f'Wrote {args.out}')


if __name__ == '__main__':
    main()
