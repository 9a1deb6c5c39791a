"""Draw how CMD weighs patches: vis_bag.py CONFIG CHECKPOINT [IMAGES]."""
import argparse
from functools import partial

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import (
    file_name,
    file_or_training_items,
)
from csd_mmpretrain.methods.cmd.bag_maps import bag_maps
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_dpi,
    add_training_images,
    default_figure,
    figure_file,
)
from csd_mmpretrain.visualization.figure_pages import save_pages
from csd_mmpretrain.visualization.image_grid import GRAY, Panel, draw_grid
from mmengine.utils import track_iter_progress

PER_PAGE = 24


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description="Draw images with the weights of their patches in CMD's "
        'bag, and with how much each patch agrees with the whole image.')
    parser.add_argument('config', help='config file of a CMD')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    add_training_images(parser)
    parser.add_argument(
        '--out',
        type=figure_file,
        metavar='FILE',
        help='.png or .pdf; work_dirs/<config name>/bags.png by default')
    add_dpi(parser, 150)
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.out is None:
        args.out = default_figure(args.config, 'bags.png')
    return args


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    model = load_model(cfg, args.checkpoint, args.device).model
    items = file_or_training_items(cfg, args.images, args.num)
    rows = []
    for start in track_iter_progress(range(0, len(items), args.batch_size)):
        batch = items[start:start + args.batch_size]
        for item, row in zip(batch, bag_maps(model, batch)):
            rows.append([
                Panel(row.image, captions=[(file_name(item), GRAY)]),
                Panel(row.image, heat=row.weights),
                Panel(row.image, heat=row.agreement)])
    draw = partial(
        draw_grid, columns=None,
        headings=['image', 'weight in the bag (even: 1)',
                  'agrees with the image'])
    files = save_pages(draw, rows, PER_PAGE, args.out, args.dpi)
    print(f'Wrote {", ".join(files)}')


if __name__ == '__main__':
    run_tool(main)
