"""Select Grocery81 from a clone of its release: make_grocery81.py CLONE."""
import argparse
from pathlib import Path
import sys

from csd_mmpretrain.datasets.grocery81_selection import (
    RELEASE_PAGE,
    make_grocery81,
)
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import ToolParser


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Copy the 648 training and 810 test photos of Grocery81 '
        'out of a clone of the Grocery Store dataset, and write its lists.')
    parser.add_argument(
        'clone', type=Path, help=f'folder of a clone of {RELEASE_PAGE}')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        default=Path('data', 'grocery81'),
        help='the folder to make (data/grocery81)')
    return parser.parse_args()


def main() -> None:
    """Make the folder, and say how many photos it has."""
    args = parse_args()
    try:
        counts = make_grocery81(args.clone, args.out)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print(f'{args.out}: {counts["train"]} training and {counts["test"]} test '
          'photos.')


if __name__ == '__main__':
    run_tool(main)
