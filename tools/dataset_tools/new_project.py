"""Make a project of photos: new_project.py PHOTOS PROJECT."""
import argparse
from collections import Counter
import os

from csd_mmpretrain.datasets.data_check import WORKERS, format_faults
from csd_mmpretrain.datasets.group_split import SPLITS, count_groups, divide
from csd_mmpretrain.datasets.image_files import find_broken_images
from csd_mmpretrain.datasets.photos import (
    SHOWN,
    empty_folders,
    join_copies,
    loose_photos,
    mixed_groups,
    read_photo_folder,
    read_photo_table,
)
from csd_mmpretrain.runtime.project import BASE, count_rows, write_project
from csd_mmpretrain.runtime.run_tool import run_tool
from csd_mmpretrain.runtime.tool_options import ToolParser, output_folder
from csd_mmpretrain.utils.tables import markdown_table
from csd_mmpretrain.utils.wording import first_names

PRINTED = 20


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        Namespace: The options.
    """
    parser = ToolParser(
        description='Make a project of photos: lists of training, validation '
        'and test photos in which no plant (plot, date) is in two, and a '
        'config to train with. Nothing is copied or changed.')
    parser.add_argument(
        'photos',
        help='folder with a folder of photos for each class; or a .csv file '
        'with the columns path, label and, if wanted, group')
    parser.add_argument(
        'project', type=output_folder, help='folder for lists and config')
    parser.add_argument(
        '--group',
        metavar='FOLDER_OR_REGEX',
        help='photos that belong together: `folder`, those in one subfolder '
        'of a class and below it; or a regular expression whose parentheses '
        'capture the name of the plant, plot or date in a path, such as '
        r'"(plant\d+)". Without it each photo is on its own')
    parser.add_argument(
        '--parts',
        type=int,
        default=5,
        help='one of so many equal parts is for the test, one for the '
        'validation, the others for the training (5)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the division (0)')
    parser.add_argument(
        '--base',
        default=BASE,
        metavar='CONFIG',
        help=f'config of a classifier to start from ({BASE})')
    args = parser.parse_args()
    if args.parts < 3:
        parser.error(f'--parts {args.parts}: at least 3 for training, '
                     'validation and test.')
    if args.group and args.photos.lower().endswith('.csv'):
        parser.error('--group is for a folder of photos; a .csv file names '
                     'the groups in its column `group`.')
    return args


def main() -> None:
    """Write the project, and tell what is in it."""
    args = parse_args()
    notes = []
    if args.photos.lower().endswith('.csv'):
        root = os.path.dirname(args.photos) or '.'
        photos = read_photo_table(args.photos)
    else:
        root = args.photos
        photos = read_photo_folder(root, args.group)
        loose = loose_photos(root)
        if loose:
            notes.append(f'{len(loose)} photos beside the folders have no '
                         f'class: {first_names(loose, SHOWN)}. Put them into '
                         'the folders of their classes.')
        empty = empty_folders(root, photos)
        if empty:
            notes.append(f'{len(empty)} folders without a photo are no '
                         f'classes: {first_names(empty, SHOWN)}. Put photos '
                         'there, or remove them.')
    photos = leave_out_broken(root, photos, notes)
    photos, copies = join_copies(root, photos)
    for field, name, effect in (
            ('group', 'groups', 'These groups stay together, so that no photo '
             'is trained on and tested. Remove the copies.'),
            ('label', 'classes', 'One of the classes is wrong. Remove that '
             'photo.')):
        pairs = [' = '.join(photo.path for photo in same) for same in copies
                 if len({getattr(photo, field) for photo in same}) > 1]
        if pairs:
            notes.append(f'{len(pairs)} photos are in several {name} as '
                         f'copies ({first_names(pairs, SHOWN)}). {effect}')
    mixed = mixed_groups(photos)
    if mixed:
        notes.append(
            f'{len(mixed)} groups have photos of several classes '
            f'({first_names(mixed, SHOWN)}). They stay together: right for a '
            'plot or a date, but a plant has one class. If they are plants, '
            'mend the classes or --group.')
    classes = sorted({photo.label for photo in photos})
    numbers = {name: number for number, name in enumerate(classes)}
    labels = [numbers[photo.label] for photo in photos]
    groups = [photo.group for photo in photos]
    splits = divide(labels, groups, args.parts, args.seed)
    project = write_project(args.project, root, photos, splits, args.base)
    single = [name for name, count in zip(classes, count_groups(
        labels, groups)) if count == 1]
    if single:
        notes.append(
            f'{len(single)} classes have one group ({first_names(single, 5)})'
            ', which cannot be on both sides: they are trained on, and '
            'neither validated nor tested. Add photos of other plants.')
    rest = [name for name in classes
            if not project.counts['test'][name] and name not in single]
    if rest:
        notes.append(
            f'{len(rest)} rare classes have no test photo '
            f'({first_names(rest, 5)}). Another --seed or fewer --parts may '
            'give them some; tools/kfold-cross-valid.py tests every photo.')
    rows = count_rows(project)
    print(markdown_table(('class', *SPLITS), rows[:PRINTED]))
    if len(rows) > PRINTED:
        print(f'... and {len(rows) - PRINTED} more')
    total = Counter(splits)
    print('\n' + ', '.join(f'{total[name]} {name}' for name in SPLITS)
          + f' photos, {len(classes)} classes, {len(set(groups))} groups')
    for note in notes:
        print(f'Note: {note}')
    print(f'Wrote {project.config}\nNext: tools/train.py {project.config} '
          '--check-data')


def leave_out_broken(root: str, photos: list, notes: list) -> list:
    """Leave out the photos that no training could load, with a note.

    Args:
        root (str): The folder of the photos.
        photos (list[Photo]): All photos.
        notes (list[str]): One is added if photos are broken.

    Returns:
        list[Photo]: The whole ones.

    Raises:
        ValueError: If none is whole.
    """
    by_path = {os.path.join(root, photo.path): photo for photo in photos}
    broken = find_broken_images(by_path, workers=WORKERS)
    faults = [(by_path[path].path, fault) for path, fault in broken]
    if len(faults) == len(photos):
        raise ValueError(f'{root}: none of the {len(photos)} photos is whole. '
                         f'{format_faults(faults, SHOWN)}\nGive others.')
    if faults:
        notes.append(f'{len(faults)} photos are left out:\n'
                     f'{format_faults(faults, SHOWN)}\nConvert them, or copy '
                     'them again, and make the project anew.')
    lost = {path for path, _ in faults}
    return [photo for photo in photos if photo.path not in lost]


if __name__ == '__main__':
    run_tool(main)
