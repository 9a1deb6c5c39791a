"""Check unpacked Ultra-FGVC datasets: check_ultra_fgvc.py DATA_ROOT."""
import argparse
import sys

from csd_mmpretrain.datasets.ultra_fgvc_check import (
    DATASETS,
    check_release,
    format_reports,
    is_right,
)
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import ToolParser, positive
from csd_mmpretrain.utils.cores import usable_cores


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description='Tell for each Ultra-FGVC dataset whether it is complete: '
        'lists, counts, missing and unreadable images. The exit code is 0 '
        'only if all that is there is right, and something is there.')
    parser.add_argument(
        'data_root', help='parent folder of COTTON, soybean200, ...')
    parser.add_argument(
        '--sets', nargs='+', choices=DATASETS, metavar='NAME',
        help='datasets that have to be there, out of ' + ', '.join(DATASETS) +
        ' (default: look at all, and let any be absent)')
    parser.add_argument(
        '--workers', type=positive, default=min(8, usable_cores()),
        help='threads that decode images (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Print one table, and exit with the verdict."""
    args = parse_args()
    try:
        reports = check_release(args.data_root, args.sets, args.workers)
    except FileNotFoundError as error:
        sys.exit(str(error))
    print(format_reports(reports))
    sys.exit(not is_right(reports, all_wanted=args.sets is not None))


if __name__ == '__main__':
    run_tool(main)
