"""Draw class activation maps: vis_cam.py IMAGE... CONFIG CHECKPOINT."""
import argparse
import os

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import file_items, file_name
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    add_dpi,
    default_figure,
    output_file,
    positive,
)
from csd_mmpretrain.visualization.cam import (
    METHODS,
    cam_panels,
    cam_rows,
    find_category,
    method_class,
)
from csd_mmpretrain.visualization.cam_layers import (
    find_target_layer,
    get_layers,
)
from csd_mmpretrain.visualization.figure_pixels import figure_pixels
from csd_mmpretrain.visualization.image_grid import DARK, Panel, draw_grid
from PIL import Image

SUFFIXES = ('.png', '.pdf', '.jpg', '.jpeg')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Draw class activation maps of a classifier (needs the '
        'extra `cam`).')
    parser.add_argument('img', nargs='+', help='image files or folders')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--target-layers',
        nargs='+',
        default=[],
        metavar='LAYER',
        help='the layers to look at, such as backbone.layer4; by default the '
        'last normalization or block of the backbone whose map the logits '
        'depend on')
    parser.add_argument(
        '--preview-model',
        action='store_true',
        help='print the model with the names of its layers, and exit')
    parser.add_argument(
        '--method',
        default='GradCAM',
        help=f'{", ".join(METHODS)}; in upper or lower case (GradCAM)')
    parser.add_argument(
        '--target-category',
        nargs='+',
        default=[],
        metavar='CLASS',
        help='the classes to explain, by number or name, one map each; by '
        'default the predicted class of each image')
    parser.add_argument(
        '--eigen-smooth',
        action='store_true',
        help='first principal component of the weighted activations in place '
        'of their sum: less noise')
    parser.add_argument(
        '--aug-smooth',
        action='store_true',
        help='mean over six augmented images: six times as slow')
    parser.add_argument(
        '--relative',
        action='store_true',
        help='explain the logit of a class less the mean of all logits, for '
        'models whose maps are empty because all logits are negative')
    parser.add_argument(
        '--save-path',
        type=output_file,
        metavar='FILE',
        help=f'{", ".join(SUFFIXES)}; work_dirs/<config name>/cam.png by '
        'default')
    parser.add_argument(
        '--show', action='store_true', help='show the figure in a window, too')
    add_device(parser)
    parser.add_argument(
        '--vit-like',
        action='store_true',
        help='take the default layer among those that return tokens '
        '(B, L, C); seldom needed, tokens are recognized')
    parser.add_argument(
        '--num-extra-tokens',
        type=int,
        metavar='N',
        help='leading tokens that are no positions (class, distillation, '
        'registers); by default what the neck or the backbone tells')
    parser.add_argument(
        '--compare',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='a second model, whose maps are drawn beside those of the first')
    parser.add_argument(
        '--headings',
        nargs='+',
        metavar='NAME',
        help='names of the models above their maps; with --compare those of '
        'the configs by default')
    parser.add_argument(
        '--num',
        type=positive,
        default=12,
        help='how many images at most (12)')
    parser.add_argument(
        '--columns',
        type=positive,
        help='images in a row; by default as many as make a square figure')
    add_dpi(parser, 150)
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.headings is None and args.compare is not None:
        args.headings = [_name(args.config), _name(args.compare[0])]
    models = 1 if args.compare is None else 2
    if args.headings is not None and len(args.headings) != models:
        parser.error(f'--headings: {len(args.headings)} names for {models} '
                     'models (with --compare there are two).')
    if args.save_path is None:
        args.save_path = default_figure(args.config, 'cam.png')
    if not args.save_path.lower().endswith(SUFFIXES):
        parser.error(f'--save-path {args.save_path}: the name must end in '
                     f'{", ".join(SUFFIXES)}.')
    return args


def _name(config: str) -> str:
    return os.path.splitext(os.path.basename(config))[0]


def explain(args: argparse.Namespace, config: str, checkpoint: str) -> tuple:
    """Compute the maps of one model.

    Args:
        args (Namespace): The options.
        config (str): Its config file.
        checkpoint (str): Its checkpoint.

    Returns:
        tuple[list[Panel], list[list[Panel]]]: The images, and the maps of
        each.

    Raises:
        ValueError: If the checkpoint holds no classifier.
    """
    cfg = load_config(config, args.cfg_options)
    model, classes, has_classifier = load_model(cfg, checkpoint, args.device)
    if not has_classifier:
        raise ValueError(
            f"{checkpoint} holds no classifier for this config's classes, so "
            'there is nothing to explain. Give a checkpoint of its training.')
    targets = [find_category(name, classes) for name in args.target_category]
    items = file_items(cfg, args.img, args.num)
    names = args.target_layers
    if not names:
        images = model.data_preprocessor(dict(inputs=[items[0]['inputs']]))
        names = [find_target_layer(model, images['inputs'],
                                   args.num_extra_tokens, args.vit_like)]
    print(f'Target layers of {config}: {", ".join(names)}')
    rows = cam_rows(
        model,
        items,
        get_layers(model, names),
        targets,
        num_prefix_tokens=args.num_extra_tokens,
        method=args.method,
        eigen_smooth=args.eigen_smooth,
        aug_smooth=args.aug_smooth,
        relative=args.relative)
    empty = sum(not cam.any() for row in rows for cam in row.cams)
    if empty:
        print(f'{empty} maps are empty: no position speaks for the class. '
              '--relative explains the logit less the mean of all logits.')
    files = [
        file_name(item)
        for item in items
    ]
    images = [Panel(row.image, captions=[(file, DARK)])
              for row, file in zip(rows, files)]
    return images, [cam_panels(row, classes) for row in rows]


def main() -> None:
    """Draw the figure that the command line asks for."""
    args = parse_args()
    if args.preview_model:
        cfg = load_config(args.config, args.cfg_options)
        model = load_model(cfg, args.checkpoint, args.device).model
        print(model)
        print('Layers:', *(name for name, _ in model.named_modules() if name),
              sep='\n  ')
        return
    method_class(args.method)

    models = [(args.config, args.checkpoint)]
    if args.compare is not None:
        models.append(args.compare)
    maps = []
    for config, checkpoint in models:
        images, panels = explain(args, config, checkpoint)
        maps.append(panels)
    headings = []
    if args.headings is not None:
        headings = ['image']
        for name, panels in zip(args.headings, maps):
            headings += [name] * len(panels[0])
    figure = draw_grid(
        [[image, *sum(panels, [])] for image, *panels in zip(images, *maps)],
        headings, args.columns, bar='CAM, scaled per map')
    os.makedirs(os.path.dirname(args.save_path) or '.', exist_ok=True)
    figure.savefig(args.save_path, dpi=args.dpi)
    print(f'Wrote {args.save_path}')
    if args.show:
        Image.fromarray(figure_pixels(figure)).show('Class activation maps')


if __name__ == '__main__':
    run_tool(main)
