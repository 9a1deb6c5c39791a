"""A project: lists of photos, their classes, and a config to train with."""
import csv
import os
from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

from csd_mmpretrain.datasets.group_split import SPLITS, TRAIN
from csd_mmpretrain.datasets.photos import Photo
from csd_mmpretrain.utils.cores import usable_cores

from .run_options import load_config

BASE = 'csd_mmpretrain::csdnet/grocery81.py'
TABLE = 'photos.csv'
MOST_WORKERS = 4

CONFIG = '''"""{name}: {total} photos of {classes} classes."""
_base_ = {base!r}

project = "{{{{fileDirname}}}}"
photos = dict(
    _delete_=True,
    type='CustomDataset',
    data_root={root!r},
    classes=f'{{project}}/classes.txt')
train = dict(
    **photos,
    ann_file=f'{{project}}/train.txt',
    pipeline=_base_.train_pipeline)
val = dict(
    **photos, ann_file=f'{{project}}/val.txt', pipeline=_base_.test_pipeline)
test = dict(
    **photos, ann_file=f'{{project}}/test.txt', pipeline=_base_.test_pipeline)

train_dataloader = dict(
    batch_size={batch}, num_workers={workers}, dataset=train)
val_dataloader = dict(num_workers={workers}, dataset=val)
test_dataloader = dict(num_workers={workers}, dataset=test)
val_evaluator = test_evaluator = [
    dict(type='Accuracy', topk={topk}),
    dict(type='SingleLabelMetric', items=('f1-score', )),  # macro
]
model = dict(head={head})
data_preprocessor = dict(num_classes={classes})
'''


class Project(NamedTuple):
    """What :func:`write_project` has written.

    Attributes:
        config (Path): The config file, named after the project's folder.
        counts (dict[str, Counter]): Photos of each class, by split.
    """

    config: Path
    counts: Dict[str, Counter]


def write_project(folder: str,
                  root: str,
                  photos: Sequence[Photo],
                  splits: Sequence[str],
                  base: str = BASE) -> Project:
    """Write a project into a folder.

    ``train.txt``, ``val.txt``, ``test.txt`` and ``all.txt`` list photos and
    labels, ``classes.txt`` the classes, ``photos.csv`` the class, group and
    split of each photo, and ``<folder>.py`` is a config of the base for them.

    Args:
        folder (str): The project's; it has no project yet.
        root (str): The folder of the photos.
        photos (Sequence[Photo]): The photos.
        splits (Sequence[str]): ``'train'``, ``'val'`` or ``'test'`` of each.
        base (str): A config of a classifier, or one of the package, such as
            ``csd_mmpretrain::peers/grocery81_arcface.py``. Defaults to that
            of a CSDNet with MobileNetV2.

    Returns:
        Project: The config and the counts.

    Raises:
        FileExistsError: If the folder has files of a project.
        ValueError: If a path cannot stand in a list, or the base has no
            pipelines by name or no ``num_classes``.

    Example:
        ::

            photos = read_photo_folder('photos', 'folder')
            splits = divide([photo.label for photo in photos],
                            [photo.group for photo in photos])
            write_project('leaves', 'photos', photos, splits)
    """
    for kind, names in (('paths', {photo.path for photo in photos}),
                        ('classes', {photo.label for photo in photos})):
        odd = sorted(name for name in names if name != name.strip()
                     or len(name.splitlines()) > 1)
        if odd:
            raise ValueError(
                f'{root}: {len(odd)} {kind} cannot stand in a list, such as '
                f'{odd[0]!r}: no line break, and no space at either end. '
                'Rename them.')
    top = Path(folder).resolve()
    config = top / f'{top.name.replace(".", "_")}.py'
    classes = sorted({photo.label for photo in photos})
    numbers = {name: number for number, name in enumerate(classes)}
    counts = {split: Counter() for split in SPLITS}
    for photo, split in zip(photos, splits):
        counts[split][photo.label] += 1
    text = _config_text(config.stem, root, counts, classes, base)
    lists = {name: [photo for photo, split in zip(photos, splits)
                    if split == name] for name in SPLITS}
    files = [top / f'{name}.txt' for name in (*lists, 'all', 'classes')]
    there = [path.name for path in (config, top / TABLE, *files)
             if path.exists()]
    if there:
        raise FileExistsError(
            f'{folder} has a project already ({", ".join(there)}). Choose '
            'another folder, or remove these files.')
    top.mkdir(parents=True, exist_ok=True)
    for name, part in dict(lists, all=photos).items():
        path = top / f'{name}.txt'
        path.write_text(''.join(
            f'{photo.path} {numbers[photo.label]}\n' for photo in part),
            encoding='utf-8')
    (top / 'classes.txt').write_text(
        ''.join(f'{name}\n' for name in classes), encoding='utf-8')
    with open(top / TABLE, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow((*Photo._fields, 'split'))
        writer.writerows(
            (*photo, split) for photo, split in zip(photos, splits))
    config.write_text(text, encoding='utf-8')
    return Project(config, counts)


def _config_text(name: str, root: str, counts: Dict[str, Counter],
                 classes: Sequence[str], base: str) -> str:
    cfg = load_config(base)
    total = sum(counts[TRAIN].values())
    head = _head_settings((cfg.get('model') or {}).get('head') or {},
                          len(classes), total)
    lost = [key for key in ('train_pipeline', 'test_pipeline')
            if key not in cfg]
    lost += [] if head else ['model.head.num_classes']
    if lost:
        raise ValueError(
            f'{base} has no {", ".join(lost)}, so it is no base for a project '
            'of photos with classes. Give the config of a classifier, such as '
            f'{BASE}.')
    # With one batch in an epoch the warm-up would never end.
    batch = cfg.train_dataloader.batch_size
    while batch > 2 and total <= batch:
        batch //= 2
    if os.path.isfile(base):
        base = Path(base).resolve().as_posix()
    return CONFIG.format(
        name=name, total=sum(sum(part.values()) for part in counts.values()),
        classes=len(classes), base=base,
        root=Path(root).resolve().as_posix(), batch=batch,
        workers=min(MOST_WORKERS, usable_cores()),
        topk=(1, 5) if len(classes) > 5 else (1, ), head=head)


def _head_settings(head: dict, num_classes: int, num_images: int) -> dict:
    """Number the classes of a head, and the images that a queue holds."""
    values = dict(num_classes=num_classes, queue_len=num_images)
    found = {key: values[key] for key in values if key in head}
    for name, part in head.items():
        inner = isinstance(part, dict) and _head_settings(
            part, num_classes, num_images)
        if inner:
            found[name] = inner
    return found


def count_rows(project: Project) -> List[Sequence]:
    """Write the photos of each split as rows of a table by class."""
    names = sorted(set().union(*project.counts.values()))
    return [(name, *(project.counts[split][name] for split in SPLITS))
            for name in names]
