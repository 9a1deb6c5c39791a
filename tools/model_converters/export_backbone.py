"""Hand a pre-trained backbone over: export_backbone.py CHECKPOINT OUT."""
import argparse

from csd_mmpretrain.checkpoints.backbone_file import PREFIXES, export_backbone
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import ToolParser, output_file


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Write the backbone of a pre-training (CMD, DINO, MoCo '
        'and others) to a file that any config can start from.')
    parser.add_argument('checkpoint', help='checkpoint of the pre-training')
    parser.add_argument(
        'out',
        type=output_file,
        help='the file to write, such as backbone.pth')
    parser.add_argument(
        '--part',
        choices=list(PREFIXES),
        default='teacher',
        help="the network: CMD's and DINO's teacher (the default), or the "
        'student, the one network of other models')
    return parser.parse_args()


def main() -> None:
    """Write the backbone, and say how to start from it."""
    args = parse_args()
    count = export_backbone(args.checkpoint, args.out, args.part)
    print(f'{args.out}: {count} tensors of the {args.part}. Start from it '
          f'with: tools/train.py CONFIG --weights {args.out}')


if __name__ == '__main__':
    run_tool(main)
