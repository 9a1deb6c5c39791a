"""Draw what JEPA predicts: vis_regions.py CONFIG CHECKPOINT [IMAGES]."""
import argparse

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import file_or_training_items
from csd_mmpretrain.methods.jepa.region_figure import (
    draw_regions,
    region_maps,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_dpi,
    add_training_images,
    amount,
    default_figure,
    figure_file,
)
from csd_mmpretrain.visualization.figure_pages import save_pages
from mmengine.utils import track_iter_progress

PER_PAGE = 8


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Draw images with the saliency and the regions of '
        'DSeq-JEPA in their order, and with the context and the target of '
        'each prediction.')
    parser.add_argument('config', help='config file of a JEPA')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    add_training_images(parser)
    parser.add_argument(
        '--progress', type=amount, default=1.,
        help='of the training, 0 to 1, for the curriculum (1)')
    parser.add_argument(
        '--out',
        type=figure_file,
        metavar='FILE',
        help='.png or .pdf; work_dirs/<config name>/regions.png by default')
    add_dpi(parser, 150)
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if not 0 <= args.progress <= 1:
        parser.error(f'--progress: {args.progress} must lie in [0, 1].')
    if args.out is None:
        args.out = default_figure(args.config, 'regions.png')
    return args


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    model = load_model(cfg, args.checkpoint, args.device).model
    items = file_or_training_items(cfg, args.images, args.num)
    rows = []
    for start in track_iter_progress(range(0, len(items), args.batch_size)):
        rows += region_maps(
            model, items[start:start + args.batch_size], args.progress)
    files = save_pages(draw_regions, rows, PER_PAGE, args.out, args.dpi)
    print(f'Wrote {", ".join(files)}')


if __name__ == '__main__':
    run_tool(main)
