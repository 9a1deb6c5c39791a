"""Pack config and checkpoint for TorchServe: CONFIG CHECKPOINT."""
import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from csd_mmpretrain.checkpoints.pretrained import read_names
from csd_mmpretrain.runtime.run_options import load_config
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import ToolParser, output_folder
import mmpretrain


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options of mmpretrain's tool of the same name.
    """
    parser = ToolParser(
        description="Pack a model with mmpretrain's handler for TorchServe. "
        'The server needs this package installed beside mmpretrain.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    parser.add_argument(
        '--output-folder',
        type=output_folder,
        required=True,
        metavar='DIR',
        help='where {model_name}.mar is written')
    parser.add_argument(
        '--model-name',
        metavar='NAME',
        help='name of the model in the server; that of the checkpoint by '
        'default')
    parser.add_argument(
        '--model-version',
        default='1.0',
        metavar='VERSION',
        help='version of the model in the server (1.0)')
    parser.add_argument(
        '-f',
        '--force',
        action='store_true',
        help='overwrite an older {model_name}.mar')
    return parser.parse_args()


def main() -> None:
    """Write the archive that the command line asks for."""
    args = parse_args()
    try:
        from model_archiver.model_archiver_config import ModelArchiverConfig
        from model_archiver.model_packaging import generate_model_archive
    except ImportError as error:
        raise ImportError(
            'torch-model-archiver 0.10 or newer is needed. Install the extra '
            '`deploy`, pip install "csd_mmpretrain[deploy]".') from error
    cfg = load_config(args.config)
    if not os.path.isfile(args.checkpoint):
        raise FileNotFoundError(f'There is no checkpoint {args.checkpoint!r}.')
    read_names(args.checkpoint)
    name = args.model_name or Path(args.checkpoint).stem
    archive = Path(args.output_folder) / f'{name}.mar'
    if archive.exists() and not args.force:
        raise FileExistsError(f'{archive} exists. Overwrite it with '
                              '`--force`, or choose another `--model-name`.')
    os.makedirs(args.output_folder, exist_ok=True)
    tools = Path(mmpretrain.__file__).parent / '.mim' / 'tools'
    with TemporaryDirectory() as folder:
        # The handler looks for this name.
        config = os.path.join(folder, 'config.py')
        cfg.dump(config)
        generate_model_archive(
            ModelArchiverConfig(
                model_name=name,
                handler=str(tools / 'torchserve' / 'mmpretrain_handler.py'),
                version=args.model_version,
                serialized_file=args.checkpoint,
                model_file=config,
                export_path=args.output_folder,
                force=args.force))
    print(f'Wrote {archive}')


if __name__ == '__main__':
    run_tool(main)
