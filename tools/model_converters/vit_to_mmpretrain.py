"""Rename DINO's ViT for mmpretrain: vit_to_mmpretrain.py CHECKPOINT OUT."""
import argparse

from csd_mmpretrain.checkpoints.vit_weights import convert_vit
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import ToolParser, output_file


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description="Write the weights of DINO's or timm's plain vision "
        "transformer under the names of mmpretrain's VisionTransformer.")
    parser.add_argument(
        'checkpoint', help='such as dino_vitbase16_pretrain.pth')
    parser.add_argument('out', type=output_file, help='the file to write')
    return parser.parse_args()


def main() -> None:
    """Write the file, and say how to start from it."""
    args = parse_args()
    count = convert_vit(args.checkpoint, args.out)
    print(f'{args.out}: {count} tensors. Start from it with: tools/train.py '
          f'CONFIG --weights {args.out}')


if __name__ == '__main__':
    run_tool(main)
