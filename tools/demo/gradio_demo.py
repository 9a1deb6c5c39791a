"""A page that shows prediction and masks: gradio_demo.py CONFIG CHECKPOINT."""
import argparse
import os

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.eval_images import dataset_items
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.tool_options import add_cfg_options, add_device

TEXT = """Choose an example, or drop an image of your own, and see the five \
likeliest classes of **{name}**. Below them: the image as the network gets \
it, its pattern map, and the mask and the second view that training makes of \
that map."""


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description='Open a page in which one chooses an image and sees the '
        'prediction, the pattern map, the mask and the second view.')
    parser.add_argument('config', help='config file of a CSDNet')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    parser.add_argument(
        '--num',
        type=int,
        default=6,
        help='how many images of the test split to offer; 0 needs no data '
        '(6)')
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; 0.0.0.0 lets other machines in '
        '(127.0.0.1)')
    parser.add_argument(
        '--port', type=int, default=7860, help='port to listen at (7860)')
    parser.add_argument(
        '--share',
        action='store_true',
        help='offer the page to the internet through a server of gradio')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.num < 0:
        parser.error(f'--num {args.num}: must not be negative.')
    return args


def main() -> None:
    """Serve the page that the command line asks for, until it is stopped."""
    args = parse_args()
    # Before gradio is imported, which reads it.
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio  # noqa: F401

        from csd_mmpretrain.deployment.demo_page import (
            launch_page,
            make_demo_page,
        )
        from csd_mmpretrain.deployment.demo_predictor import DemoPredictor
        from csd_mmpretrain.methods.csdnet.figures.demo_figure import (
            DemoFigure,
        )
    except ImportError as error:
        raise ImportError(
            f'The demo needs {error.name}. Install the extra `demo`, '
            'pip install "csd_mmpretrain[demo]".') from error
    cfg = load_config(args.config, args.cfg_options)
    model, classes, has_classifier = load_model(cfg, args.checkpoint,
                                                args.device)
    if not has_classifier:
        raise ValueError(f'{args.checkpoint} holds no classifier that fits '
                         'the config. Give the checkpoint of a training.')
    examples = []
    if args.num:
        check_dataset_folders(cfg, ('test_dataloader', ))
        items, names = dataset_items(cfg, 'test', args.num)
        classes = classes or names
        examples = [item['data_samples'].img_path for item in items]

    name = os.path.splitext(os.path.basename(args.config))[0]
    page = make_demo_page(
        DemoPredictor(cfg, model, [DemoFigure(cfg, model)], classes),
        examples, 'What CSDNet sees', TEXT.format(name=name))
    launch_page(
        page,
        server_name=args.host,
        server_port=args.port,
        share=args.share)


if __name__ == '__main__':
    main()
