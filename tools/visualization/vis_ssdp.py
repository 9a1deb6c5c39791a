"""Draw what SSDP sees: vis_ssdp.py CONFIG CHECKPOINT [IMAGES]."""
import argparse
from functools import partial

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.eval_images import dataset_items, file_items
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import MODES
from csd_mmpretrain.methods.csdnet.figures.ssdp_figure import draw_ssdp_figure
from csd_mmpretrain.methods.csdnet.figures.ssdp_rows import (
    check_pattern_map,
    ssdp_rows,
)
from csd_mmpretrain.methods.csdnet.figures.ssdp_views import (
    ALL,
    choose_views,
    config_view,
)
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
)
from csd_mmpretrain.visualization.figure_pages import save_pages
from mmengine.utils import track_iter_progress
import torch

PER_PAGE = 12


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Draw image, pattern map, gate, mask and second views, '
        'with the predictions for the image and for each second view. '
        f'Of more than {PER_PAGE} images, the figure goes over several '
        'pages: of one PDF, or numbered PNG files.')
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
        choices=['train', 'val', 'test'],
        default='test',
        help='which part of the dataset to draw (test)')
    parser.add_argument(
        '--num', type=positive, default=6,
        help='how many images at most, evenly spread (6)')
    parser.add_argument(
        '--mode',
        nargs='+',
        choices=(*MODES, ALL),
        help="how the mask makes the second view, in place of the config's; "
        'one column each')
    parser.add_argument(
        '--out',
        type=figure_file,
        metavar='FILE',
        help='.png or .pdf; work_dirs/<config name>/ssdp.png by default')
    add_dpi(parser, 150)
    parser.add_argument(
        '--batch-size',
        type=positive,
        default=16,
        help='images that go through the model at once (16)')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.out is None:
        args.out = default_figure(args.config, 'ssdp.png')
    return args


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)

    model, classes, has_classifier = load_model(cfg, args.checkpoint,
                                                args.device)
    views = choose_views(config_view(cfg), args.mode)
    check_pattern_map(model, views)
    if args.images:
        items = file_items(cfg, args.images, args.num)
    else:
        check_dataset_folders(cfg, (f'{args.split}_dataloader', ))
        items, classes = dataset_items(cfg, args.split, args.num)

    torch.manual_seed(0)  # of views that draw at random
    rows = []
    for start in track_iter_progress(range(0, len(items), args.batch_size)):
        rows += ssdp_rows(model, items[start:start + args.batch_size], views,
                          has_classifier)
    draw = partial(draw_ssdp_figure, classes=classes)
    files = save_pages(draw, rows, PER_PAGE, args.out, args.dpi)
    print(f'Wrote {", ".join(files)}')


if __name__ == '__main__':
    run_tool(main)
