"""Draw the images of a dataset: browse_dataset.py CONFIG."""
import argparse
from functools import partial
import os
import sys
from typing import Iterator, List, Optional, Sequence

from csd_mmpretrain.checkpoints.trained_model import (
    load_model,
    load_pretrained_model,
)
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.eval_images import spread
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import MODES
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
    amount,
    output_folder,
)
from csd_mmpretrain.visualization.browse_steps import (
    Browsed,
    DatasetBrowser,
    Step,
)
from csd_mmpretrain.visualization.figure_pages import save_pages
from csd_mmpretrain.visualization.figure_pixels import figure_pixels
from csd_mmpretrain.visualization.image_grid import DARK, Panel, draw_grid
from mmengine.config import Config
from mmengine.utils import track_iter_progress
from PIL import Image
import torch

CELL = 2.2  # inches
DPI = 150
# Of a sheet: images in a line and on a page, alone or in several states.
SHEET = dict(one=(8, 48), several=(1, 12))
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description="Draw a dataset's images before, during and after its "
        'pipeline, and the second views that a model makes of them.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--output-dir', '-o', type=output_folder, metavar='DIR',
        help='write the pictures here, each with the name of its image')
    parser.add_argument(
        '--not-show', action='store_true', help='open no window')
    parser.add_argument(
        '--phase', '-p', default='train', choices=['train', 'test', 'val'],
        help='which data to draw (train)')
    parser.add_argument(
        '--show-number', '-n', type=int, default=sys.maxsize, metavar='N',
        help='how many images at most, evenly spread over the dataset (all)')
    parser.add_argument(
        '--show-interval', '-i', type=amount, default=2, metavar='SECONDS',
        help='how long a window shows an image (2)')
    parser.add_argument(
        '--mode', '-m', default='transformed',
        choices=['original', 'transformed', 'concat', 'pipeline', 'view'],
        help='what to draw: the image as it is loaded; as the pipeline '
        'returns it; both; after every step; or both with the second view '
        '(transformed)')
    parser.add_argument(
        '--rescale-factor', '-r', type=amount, default=1., metavar='FACTOR',
        help="size of the pictures: in mode original of the image's own "
        'size, else of a height of 330 pixels (1)')
    parser.add_argument(
        '--channel-order', '-c', default='BGR', choices=['BGR', 'RGB'],
        help="of the images in the pipeline (BGR, as mmcv's "
        'LoadImageFromFile loads them)')
    parser.add_argument(
        '--sheet', action='store_true',
        help='write all images to one sheet, sheet.png (several numbered '
        'ones, if they are many), instead of a file each')
    parser.add_argument(
        '--checkpoint', metavar='FILE',
        help='for mode view: weights of the model that makes the second view '
        "(the pretrained weights of the config's backbone)")
    parser.add_argument(
        '--view', nargs='+', choices=(*MODES, ALL),
        help="for mode view: how the mask makes the second view, in place of "
        "the config's")
    parser.add_argument(
        '--batch-size', type=int, default=16,
        help='for mode view: images that go through the model at once (16)')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu',
        help='for mode view: cpu or cuda; a GPU by default, where there is '
        'one')
    add_cfg_options(parser)
    args = parser.parse_args()
    for name in ('show_number', 'batch_size', 'rescale_factor'):
        if getattr(args, name) <= 0:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)}: '
                         'must be positive.')
    if args.sheet and args.output_dir is None:
        parser.error('--sheet writes a file: add `--output-dir DIR`.')
    if not args.sheet and not args.not_show and not _has_display():
        if args.output_dir is None:
            parser.error('there is no display to show images on: add '
                         '`--output-dir DIR` to write them.')
        args.not_show = True
    if args.not_show and args.output_dir is None:
        parser.error('--not-show opens no window: add `--output-dir DIR` to '
                     'write the images.')
    return args


def main() -> None:
    """Draw what the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_dataset_folders(cfg, (f'{args.phase}_dataloader', ))
    browser = DatasetBrowser(cfg, args.phase, args.channel_order)
    chosen = spread(len(browser.dataset), args.show_number)
    if args.mode == 'view':
        model = _load_model(cfg, args.checkpoint, args.device)
        views = choose_views(config_view(cfg), args.view)
        check_pattern_map(model, views)
        seen = _with_views(browser, chosen, model, views, args.batch_size)
    else:
        seen = map(browser.load, chosen)

    rows, written = [], []
    for image in track_iter_progress((seen, len(chosen))):
        row = _row(image, args.mode, browser.classes)
        if args.sheet:
            rows.append(row)
            continue
        cell = CELL
        if args.mode == 'original':
            cell = row[0].image.shape[0] / DPI
        pixels = figure_pixels(
            draw_grid([row], cell=cell * args.rescale_factor), DPI)
        if args.output_dir is not None:
            written.append(_save(pixels, image.path, args.output_dir, written))
        if not args.not_show:
            _show(pixels, image.path, args.show_interval)
    if args.sheet:
        columns, per_page = SHEET['one' if len(rows[0]) == 1 else 'several']
        written = save_pages(
            partial(draw_grid, columns=columns,
                    cell=CELL * args.rescale_factor),
            rows, per_page, os.path.join(args.output_dir, 'sheet.png'), DPI)
    if written:
        print(f'Wrote {len(written)} files to {args.output_dir}')


def _load_model(cfg: Config, checkpoint: Optional[str],
                device: str) -> torch.nn.Module:
    if checkpoint is None:
        return load_pretrained_model(cfg, device)
    return load_model(cfg, checkpoint, device).model


def _with_views(browser: DatasetBrowser, chosen: Sequence[int],
                model: torch.nn.Module, views: dict,
                batch_size: int) -> Iterator[Browsed]:
    """Load images, with their second views as the last steps."""
    for start in range(0, len(chosen), batch_size):
        batch = [browser.load(i) for i in chosen[start:start + batch_size]]
        rows = ssdp_rows(model, [image.packed for image in batch], views,
                         has_classifier=False)
        for image, row in zip(batch, rows):
            seconds = [Step(f'second view ({name})', [second])
                       for name, second in row.seconds.items()]
            yield image._replace(
                steps=[image.steps[0], _transformed(image), *seconds])


def _transformed(image: Browsed) -> Step:
    return Step('transformed', image.steps[-1].images)


def _row(image: Browsed, mode: str,
         classes: Optional[Sequence[str]]) -> List[Panel]:
    steps = image.steps
    if mode == 'original':
        steps = steps[:1]
    elif mode == 'transformed':
        steps = [_transformed(image)]
    elif mode == 'concat':
        steps = [steps[0], _transformed(image)]
    names = [str(label) if classes is None else str(classes[label])
             for label in image.label]
    first, *others = [panel for step in steps for panel in _panels(step)]
    title = f'{", ".join(names)}   {os.path.basename(image.path)}'
    return [first._replace(title=title.strip()), *others]


def _panels(step: Step) -> List[Panel]:
    numbers = range(1, 1 + len(step.images)) if step.images[1:] else ['']
    return [
        Panel(image, captions=[(f'{step.name} {number}'.rstrip() +
                                f'  {image.shape[1]}×{image.shape[0]}', DARK)])
        for number, image in zip(numbers, step.images)
    ]


def _save(pixels, path: str, folder: str, written: List[str]) -> str:
    """Write a picture under its image's name, which several may share."""
    name, suffix = os.path.splitext(os.path.basename(path))
    if suffix.lower() not in SUFFIXES:
        suffix = '.png'
    out, number = os.path.join(folder, name + suffix), 1
    while out in written:
        number += 1
        out = os.path.join(folder, f'{name}_{number}{suffix}')
    os.makedirs(folder, exist_ok=True)
    Image.fromarray(pixels).save(out)
    return out


def _has_display() -> bool:
    from matplotlib import pyplot
    return pyplot.get_backend().lower() != 'agg'


def _show(pixels, title: str, seconds: float) -> None:
    from matplotlib import pyplot
    figure = pyplot.figure(title, figsize=(12, 6), clear=True)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(pixels)
    ax.set_axis_off()
    pyplot.pause(seconds)
    pyplot.close(figure)


if __name__ == '__main__':
    run_tool(main)
