"""A page that shows predictions and why: gradio_demo.py CONFIG CHECKPOINT."""
import argparse
import os
from typing import TYPE_CHECKING, Callable, Dict, Optional

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.eval_images import dataset_items
from csd_mmpretrain.deployment.demo_page import launch_page, make_demo_page
from csd_mmpretrain.deployment.demo_predictor import DemoPredictor
from csd_mmpretrain.methods.csdnet.figures.demo_figure import DemoFigure
from csd_mmpretrain.methods.epic.load_explainer import load_explainer
from csd_mmpretrain.methods.st_protopnet.explainer import PrototypeExplainer
from csd_mmpretrain.methods.st_protopnet.st_protopnet_head import (
    STProtoPNetHead,
)
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
)
from csd_mmpretrain.visualization.cam import grad_cams
from csd_mmpretrain.visualization.explanation import Explanation
from csd_mmpretrain.visualization.explanation_figure import explanation_figure
from mmengine.config import Config
from mmengine.model import BaseModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT = """Choose an example, or drop an image of your own, and see the five \
likeliest classes of **{name}**. Below them: {shown}."""
MASK, WHY = 'Pattern map', 'Why this class'
SHOWN = {
    MASK: 'the image as the network gets it, its pattern map, and the mask '
    'and the second view that training makes of that map',
    WHY: 'the parts that speak for the likeliest class, and the training '
    'photos that have parts like them'
}


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Open a page in which one chooses an image and sees the '
        'prediction; of a CSDNet the pattern map, the mask and the second '
        'view; of an ST-ProtoPNet, or with --epic, why it is predicted.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    parser.add_argument(
        '--epic',
        metavar='FILE',
        help='epic.pth of tools/visualization/epic.py, fitted on this '
        'checkpoint: explains the prediction')
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


def figures_of(args: argparse.Namespace, cfg: Config,
               model: BaseModel) -> Dict[str, Callable[[dict], 'Figure']]:
    """Find what there is to draw of an image.

    Args:
        args (Namespace): The options.
        cfg (Config): The whole config.
        model (BaseModel): Its model.

    Returns:
        dict[str, Callable]: By the name of the tab: from what the test
        pipeline returns to a figure.

    Raises:
        TypeError: If there is nothing to draw.
        FileNotFoundError, ValueError: If there is no file of EPIC, or it was
            fitted on something else.
    """
    figures = {}
    explain = explainer_of(args, cfg, model)
    try:
        figures[MASK] = DemoFigure(cfg, model)
    except TypeError as error:
        if explain is None:
            raise TypeError(
                f'{error} Or fit EPIC with tools/visualization/epic.py, which '
                'explains any classifier, and give --epic FILE.') from None
    if explain is not None:

        def why(item: dict) -> 'Figure':
            cams = grad_cams(model, [item])
            return explanation_figure(explain(item), cams and cams[0])

        figures[WHY] = why
    return figures


def explainer_of(
        args: argparse.Namespace, cfg: Config,
        model: BaseModel) -> Optional[Callable[[dict], Explanation]]:
    """Find what explains the predictions of a model.

    Args:
        args (Namespace): The options.
        cfg (Config): The whole config.
        model (BaseModel): Its model.

    Returns:
        Callable | None: From what the test pipeline returns to an
        explanation; None if there is none.

    Raises:
        FileNotFoundError, ValueError: As :func:`figures_of`.
    """
    if args.epic:
        by_channels = load_explainer(cfg, model, args.epic)
        return lambda item: by_channels.explain([item])[0]
    if isinstance(model.head, STProtoPNetHead):
        by_parts = PrototypeExplainer(cfg, args.checkpoint, args.device)
        return lambda item: by_parts.explain(
            dict(img_path=item['data_samples'].img_path))
    return None


def main() -> None:
    """Serve the page that the command line asks for, until it is stopped."""
    args = parse_args()
    # Before gradio is imported, which reads it.
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio  # noqa: F401
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
    figures = figures_of(args, cfg, model)
    page = make_demo_page(
        DemoPredictor(cfg, model, list(figures.values()), classes), examples,
        'What CSDNet sees' if MASK in figures else 'What the network sees',
        TEXT.format(name=name,
                    shown='; '.join(SHOWN[figure] for figure in figures)),
        list(figures))
    launch_page(
        page,
        server_name=args.host,
        server_port=args.port,
        share=args.share)


if __name__ == '__main__':
    run_tool(main)
