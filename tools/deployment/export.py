"""Export a trained classifier: export.py CONFIG CHECKPOINT --out FILE."""
import argparse
import os
from tempfile import TemporaryDirectory

from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.data_root import check_dataset_folders
from csd_mmpretrain.datasets.eval_images import dataset_items, file_items
from csd_mmpretrain.deployment import (
    FORMATS,
    DeployedClassifier,
    check_export,
    export_classifier,
    export_info,
    load_export,
)
from csd_mmpretrain.deployment.export_files import check_format
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import (
    ToolParser,
    add_cfg_options,
    amount,
    output_file,
    positive,
)
import torch


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Write a trained classifier to a file that runs without '
        'this package, and check the file against the model on real images. '
        'Queue, losses and second view stay behind.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    parser.add_argument(
        'images',
        nargs='*',
        help='image files or folders to check with; the test split of the '
        'config by default')
    parser.add_argument(
        '--out',
        type=output_file,
        required=True,
        metavar='FILE',
        help='what to write: .onnx; .pt for torchscript; .pt2 for '
        'torch_export')
    parser.add_argument(
        '--format',
        choices=list(FORMATS),
        default='onnx',
        help='ONNX with the metadata inside, or TorchScript or torch.export '
        'with a .json beside (onnx)')
    parser.add_argument(
        '--preprocessing',
        choices=['inside', 'outside'],
        default='inside',
        help='inside: the file takes pixels as the test pipeline packs them '
        '(uint8, BGR) and normalizes them itself; outside: it takes '
        'normalized images, float32, in the order of channels that the '
        'metadata tells (inside)')
    parser.add_argument(
        '--output',
        choices=['logits', 'scores'],
        default='logits',
        help='what the file returns; scores are probabilities (logits)')
    parser.add_argument(
        '--batch-size',
        type=positive,
        metavar='N',
        help='the only batch size that the file takes; any by default')
    parser.add_argument(
        '--num',
        type=positive,
        default=50,
        help='how many images to check with at most (50)')
    parser.add_argument(
        '--tolerance',
        type=amount,
        default=1e-4,
        help='the largest difference from the model that is allowed (1e-4)')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Export with the config, checkpoint and options of the command line."""
    args = parse_args()
    check_format(args.format, args.out)
    cfg = load_config(args.config, args.cfg_options)
    model, classes, has_classifier = load_model(cfg, args.checkpoint)
    if not has_classifier:
        raise ValueError(f'{args.checkpoint} holds no classifier that fits '
                         'the config, so there is nothing to export. Give '
                         'the checkpoint of a training.')
    if args.images:
        items = file_items(cfg, args.images, args.num)
    else:
        check_dataset_folders(cfg, ('test_dataloader', ))
        items, names = dataset_items(cfg, 'test', args.num)
        classes = classes or names
    images = [item['inputs'] for item in items]
    if any(image.shape != images[0].shape for image in images):
        raise ValueError('The test pipeline makes images of several sizes, '
                         'but a file takes one. Add a crop to '
                         '`test_dataloader.dataset.pipeline`, such as '
                         "dict(type='CenterCrop', crop_size=224).")

    inside, scores = args.preprocessing == 'inside', args.output == 'scores'
    deployed = DeployedClassifier(model, inside, scores)
    example = torch.stack(images[:1])
    if not inside:
        example = model.data_preprocessor(dict(inputs=example))['inputs']
    info = export_info(cfg, deployed, example, classes, args.batch_size)
    folder, name = os.path.split(args.out)
    os.makedirs(folder or '.', exist_ok=True)
    # Exporters may write weights into files of their own beside the model.
    with TemporaryDirectory(dir=folder or '.', prefix='.export_') as place:
        path = os.path.join(place, name)
        export_classifier(deployed, example, path, args.format, info,
                          args.batch_size)
        check = check_export(
            load_export(path, args.format), model, images, inside, scores,
            args.batch_size)
        print(f'{args.out}: {os.path.getsize(path) / 1e6:.2f} MB, '
              f'{args.format}, {args.output} of '
              f'{len(classes) if classes else "?"} classes, input '
              f'{info["input_dtype"]} {info["input_shape"]}')
        print(f'{check.images} images: largest difference of the '
              f'{args.output} {check.largest:.1e} (allowed '
              f'{args.tolerance:.1e}), same class for {check.agreeing}')
        if check.largest > args.tolerance:
            raise SystemExit(
                f'The file differs from the model, so {args.out} was not '
                'written. Try another `--format`, or a fixed `--batch-size`; '
                'if the difference is only rounding, raise `--tolerance`.')
        for part in os.listdir(place):
            os.replace(
                os.path.join(place, part), os.path.join(folder, part))


if __name__ == '__main__':
    run_tool(main)
