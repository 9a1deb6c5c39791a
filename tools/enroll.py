"""Add classes without training: enroll.py CONFIG CHECKPOINT PHOTOS."""
import argparse
from pathlib import Path

import csd_mmpretrain  # noqa: F401  registers everything
from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.datasets.shared_images import shared_images
from csd_mmpretrain.evaluation.enroll import (
    class_means,
    folder_loader,
    means_accuracy,
    save_enrolled,
)
from csd_mmpretrain.evaluation.feature_data import labelled_splits
from csd_mmpretrain.evaluation.features import (
    LabelledFeatures,
    collect_features,
)
from csd_mmpretrain.evaluation.photo_predictions import check_names
from csd_mmpretrain.evaluation.predictions import load_predictions
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    add_device,
    output_folder,
)
from csd_mmpretrain.utils.tables import markdown_table
from csd_mmpretrain.utils.wording import first_names
from mmengine.registry import init_default_scope
from rich.progress import track
import torch

HEADER = ('classifier', 'classes', 'test photos', 'accuracy, %')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Add classes, or photos of known classes, to a trained '
        'model without training: an image gets the class whose mean feature '
        'is nearest. Writes a config and a checkpoint for all other tools.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument(
        'photos', help='folder with a folder of photos for each class, new '
        'or known, to be added to the training photos')
    parser.add_argument(
        '--out',
        type=output_folder,
        required=True,
        metavar='DIR',
        help='folder for the config and the checkpoint, both `enrolled`')
    parser.add_argument(
        '--test',
        metavar='DIR',
        help='other photos of the new classes, in folders, to test with')
    add_device(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    out = Path(args.out).resolve()
    for name in (args.config, args.checkpoint):
        if Path(name).resolve() in (out / 'enrolled.py', out / 'enrolled.pth'):
            parser.error(f'--out {args.out}: {name} is read, and would be '
                         'written over. Choose another folder.')
    return args


def main() -> None:
    """Write the enrolled model, and compare it with the trained head."""
    args = parse_args()
    init_default_scope('mmpretrain')
    cfg = load_config(args.config, args.cfg_options)
    images = labelled_splits(cfg)
    if images['test'].unseen:
        raise ValueError(f'The test classes of {args.config} are none of the '
                         'training. Give the config of a classifier.')
    known = images['train'].classes
    if not known:
        raise ValueError(f'The training data of {args.config} has no names '
                         'of classes. Set `classes` of its dataset.')
    loader = images['test'].loader
    settings = dict(batch_size=loader.batch_size,
                    num_workers=loader.num_workers)
    pipeline = eval_pipeline(cfg)
    added, classes = folder_loader(args.photos, known, pipeline, settings)
    loaders = {name: split.loader for name, split in images.items()}
    loaders['added'] = added
    if args.test:
        loaders['new'], tested = folder_loader(
            args.test, classes, pipeline, settings)
        check_names(classes, tested)
    seen = shared_images(*(
        [str(info.get('img_path')) for name in names if name in loaders
         for info in loaders[name].dataset.infos]
        for names in (('test', 'new'), ('train', 'added'))))
    if seen:
        print(f'Warning: {len(seen)} test photos are among the training or '
              f'the added photos, or copies of them ({first_names(seen, 3)}), '
              'so their accuracy says little.')
    loaded = load_model(cfg, args.checkpoint, args.device)
    features = {name: collect_features(
        loaded.model, track(loader, f'Features of {name} photos'))
        for name, loader in loaders.items()}
    joined = LabelledFeatures(*map(
        torch.cat, zip(features['train'], features['added'])))
    means = class_means(joined, len(classes))
    rows = []
    count = len(features['test'].labels)
    if loaded.has_classifier:
        found = load_predictions(args.config, args.checkpoint,
                                 args.cfg_options)
        right = (found.predicted == found.labels).mean()
        rows.append(('trained head', len(known), count, f'{100 * right:.1f}'))
    before = class_means(features['train'], len(known))
    rows.append(('class means', len(known), count,
                 f'{100 * means_accuracy(features["test"], before):.1f}'))
    rows.append(('class means, enrolled', len(classes), count,
                 f'{100 * means_accuracy(features["test"], means):.1f}'))
    if args.test:
        new = features['new']
        rows.append(('class means, enrolled: photos of --test', len(classes),
                     len(new.labels), f'{100 * means_accuracy(new, means):.1f}'
                     ))
    config, checkpoint = save_enrolled(
        cfg, loaded.model, means, classes, Path(args.out))
    print(markdown_table(HEADER, rows))
    print(f'\n{len(classes) - len(known)} new classes, '
          f'{len(features["added"].labels)} photos added\n'
          f'Wrote {config} and {checkpoint}')


if __name__ == '__main__':
    run_tool(main)
