"""Explain a trained classifier by prototypes: epic.py CONFIG CHECKPOINT."""
import argparse
from pathlib import Path
from typing import List

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import (
    dataset_items,
    eval_pipeline,
    file_items,
)
from csd_mmpretrain.evaluation.feature_data import (
    LabelledImages,
    labelled_splits,
)
from csd_mmpretrain.methods.epic.disentanglement_matrix import (
    KINDS,
    PARAMETRIZATIONS,
)
from csd_mmpretrain.methods.epic.explain import (
    CHANNELS,
    SHOWN,
    EpicExplainer,
)
from csd_mmpretrain.methods.epic.fit_classifier import (
    DEFAULTS,
    WORK_FILES,
    fit_classifier,
)
from csd_mmpretrain.methods.epic.fitted_epic import (
    FittedEpic,
    preprocessing_of,
)
from csd_mmpretrain.methods.epic.fold import fold
from csd_mmpretrain.methods.epic.load_explainer import photo_loader
from csd_mmpretrain.methods.epic.pooled_classifier import PooledClassifier
from csd_mmpretrain.methods.epic.prototype_schedule import SCHEDULES
from csd_mmpretrain.methods.epic.report import confused_pairs, write_pages
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    amount,
    output_folder,
    positive,
)
from csd_mmpretrain.visualization.cam import grad_cams
from mmengine.config import Config

FILE = 'epic.pth'


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options; ``settings`` holds those of the fit that were
        given.
    """
    parser = ToolParser(
        description='Explain a trained classifier by prototypes (EPIC): fit '
        'a matrix that makes the channels of its last feature map pure, and '
        'show which channels make a prediction and which training photos '
        'excite them. The classifier stays as it is. A folder that holds a '
        'fit is used again; an interrupted one goes on.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', type=Path, metavar='DIR',
        help='folder of the fit and of the report; work_dirs/<config '
        'name>/epic by default')
    parser.add_argument(
        '--explain', nargs='*', metavar='IMAGE',
        help='image files or folders to explain; without a value, test images '
        'of the config')
    parser.add_argument(
        '--num', type=positive, default=6,
        help='how many images at most, evenly spread (6)')
    parser.add_argument(
        '--channels', type=positive, default=CHANNELS,
        help=f'channels per image ({CHANNELS})')
    parser.add_argument(
        '--shown', type=positive, default=SHOWN,
        help='prototypes per channel, as many as the last round has at most '
        f'({SHOWN})')
    parser.add_argument(
        '--fade', action='store_true',
        help='fade photos to gray where the channel is not active')
    parser.add_argument(
        '--pairs', type=int, default=3,
        help='how many pairs of classes that the test confuses to show; 0 '
        'leaves out the pass over the test images (3)')
    parser.add_argument(
        '--pages', type=int, default=12,
        help='how many channels to show before and after: those of the '
        'explained images, then the purest (12)')
    parser.add_argument(
        '--fold', action='store_true',
        help='write folded.py and folded.pth, too: the classifier with the '
        'matrix in its neck and its inverse in its head')
    parser.add_argument(
        '--overwrite', action='store_true',
        help='fit anew, whatever the folder holds')
    fit = parser.add_argument_group(
        'fit', "the paper's settings by default; see docs/methods/epic.md for "
        'a CPU').add_argument
    fit('--kind', choices=KINDS, help='of the matrix (orthogonal)')
    fit('--parametrization', choices=PARAMETRIZATIONS,
        help='how it is made: by exponential, or by Cayley, which is faster '
        'above 1000 channels (exp)')
    fit('--prototypes', type=int, nargs=2, metavar=('START', 'END'),
        help='per channel in the first and in the last round (100 5)')
    fit('--rounds', type=int, help='of choosing prototypes (10)')
    fit('--schedule', choices=SCHEDULES,
        help='how the number falls (linear)')
    fit('--epochs', type=int, help='over the prototypes of a round (2)')
    fit('--batch-size', type=int,
        help='pairs of prototype and channel in a step at most (512)')
    fit('--lr', type=amount, help='learning rate of Adam (0.001)')
    fit('--weight-decay', type=amount, help='of Adam (1e-5)')
    fit('--seed', type=int, help='of the order of the pairs (0)')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    args.settings = {
        name: value for name, value in vars(args).items()
        if name in DEFAULTS and value is not None
    }
    if args.out is None:
        args.out = Path('work_dirs', Path(args.config).stem, 'epic')
    output_folder(args.out)
    return args


def fitted(args: argparse.Namespace, classifier: PooledClassifier,
           images: LabelledImages, preprocessing: str) -> FittedEpic:
    """Fit the matrix, or read the one of the folder.

    Args:
        args (Namespace): The options.
        classifier (PooledClassifier): The classifier.
        images (LabelledImages): Its training images.
        preprocessing (str): How they are loaded.

    Returns:
        FittedEpic: With its file in the folder.

    Raises:
        ValueError: If the folder holds the fit of something else.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / FILE
    if args.overwrite:
        for name in (FILE, *WORK_FILES):
            (args.out / name).unlink(missing_ok=True)
    if path.is_file():
        epic = FittedEpic.load(str(path))
        epic.check(classifier, preprocessing, args.settings)
        print(f'Read {path}; predictions {epic.unchanged}')
        return epic
    epic = fit_classifier(classifier, images, preprocessing, args.out,
                          args.settings)
    epic.save(str(path))
    for name in WORK_FILES:
        (args.out / name).unlink()
    print(f'Wrote {path}')
    return epic


def images_to_explain(args: argparse.Namespace, cfg: Config) -> List[dict]:
    """Load the images that the command line names.

    Args:
        args (Namespace): The options.
        cfg (Config): The whole config.

    Returns:
        list[dict]: What the test pipeline returns for each.
    """
    if args.explain is None:
        return []
    if args.explain:
        return file_items(cfg, args.explain, args.num)
    return dataset_items(cfg, 'test', args.num)[0]


def main() -> None:
    """Fit, explain and write what the command line asks for."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    model, _, has_classifier = load_model(cfg, args.checkpoint, args.device)
    if not has_classifier:
        raise ValueError(
            f"{args.checkpoint} holds no classifier for this config's "
            'classes, so there is nothing to explain. Give a checkpoint of '
            'its training.')
    classifier = PooledClassifier(model)
    items = images_to_explain(args, cfg)
    splits = labelled_splits(cfg)
    epic = fitted(args, classifier, splits['train'],
                  preprocessing_of(model, eval_pipeline(cfg)))
    if args.fold:
        difference = fold(cfg, epic, classifier, args.out)
        print(f'Wrote {args.out}/folded.py and folded.pth; largest logit '
              f'difference {difference:.1e}')
    explainer = EpicExplainer(epic, classifier, photo_loader(cfg), args.fade)
    pairs = confused_pairs(explainer, splits['test'], args.pairs)
    explanations = explainer.explain(items, args.channels, args.shown)
    cams = grad_cams(model, items) if items else None
    files = write_pages(explainer, explanations, cams, pairs, args.pages,
                        args.shown, args.out)
    print(f'Wrote {", ".join(map(str, files))}')


if __name__ == '__main__':
    run_tool(main)
