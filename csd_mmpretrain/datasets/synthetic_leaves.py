"""SyntheticLeaves: a drawn dataset in the Ultra-FGVC format."""
import json
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmpretrain.registry import DATASETS
from rich.progress import track

from .leaf_drawing import breed_cultivars, draw_leaf
from .ultra_fgvc import UltraFGVCDataset, class_names

_DRAWING_VERSION = 2
_RECORD = 'leaves.json'
_SMALLEST = dict(num_classes=2, train_per_class=1, test_per_class=1,
                 image_size=32, seed=0)


@DATASETS.register_module()
class SyntheticLeaves(UltraFGVCDataset):
    """Drawn leaves of cultivars that differ only in their details.

    Cultivars differ in venation, margin and lobing; pose, color, light, size,
    background and small deformations vary from image to image. The dataset is
    drawn on first use (about 15 seconds with the defaults), in the format of
    Cotton80. It is for demonstrations and tests and is not part of the paper.

    The same arguments give the same files, with the same versions of NumPy
    and OpenCV. A folder of another origin is never overwritten.

    Args:
        data_root (str): Folder to draw into and to read from.
        split (str): 'train' or 'test'. Defaults to 'train'.
        num_classes (int): Number of cultivars. Defaults to 20.
        train_per_class (int): Training images of each. Defaults to 8.
        test_per_class (int): Test images of each. Defaults to 8.
        image_size (int): Height and width in pixels. Defaults to 160.
        seed (int): Seed of cultivars and images. Defaults to 0.
        **kwargs: See :class:`UltraFGVCDataset`.

    Raises:
        ValueError: If a number is too small, or ``data_root`` holds
            something else than this collection.
        PermissionError: If the folder cannot be written.

    Example:
        >>> leaves = SyntheticLeaves('data/leaves', num_classes=5)
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 num_classes: int = 20,
                 train_per_class: int = 8,
                 test_per_class: int = 8,
                 image_size: int = 160,
                 seed: int = 0,
                 **kwargs):
        self.collection = dict(
            num_classes=num_classes, train_per_class=train_per_class,
            test_per_class=test_per_class, image_size=image_size, seed=seed,
            version=_DRAWING_VERSION)
        for name, low in _SMALLEST.items():
            value = self.collection[name]
            if not isinstance(value, int) or value < low:
                raise ValueError(f'SyntheticLeaves: {name}={value!r}, '
                                 f'expected a whole number, {low} or more.')
        kwargs.setdefault('classes', class_names(num_classes))
        super().__init__(data_root, split=split, **kwargs)

    def load_data_list(self):
        folder = Path(self.data_root)
        if not folder.exists() or (folder.is_dir()
                                   and not any(folder.iterdir())):
            try:
                self._draw(folder)
            except PermissionError as error:
                raise PermissionError(
                    f"SyntheticLeaves: cannot draw into '{folder}' "
                    f'({error}). Set data_root, or the environment variable '
                    'CSD_DATA_ROOT, to a folder that can be written.'
                ) from None
        self._check_record(folder / _RECORD)
        return super().load_data_list()

    def _draw(self, folder: Path) -> None:
        """Draw in a temporary folder and rename it; the first process wins."""
        wanted = self.collection
        counts = dict(train=wanted['train_per_class'],
                      test=wanted['test_per_class'])
        splits = [split for split in counts for _ in range(counts[split])]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
                dir=folder.parent, prefix=f'.{folder.name}-') as workshop:
            draft = Path(workshop) / folder.name
            (draft / 'images').mkdir(parents=True)
            (draft / 'anno').mkdir()
            cultivars = breed_cultivars(wanted['num_classes'], wanted['seed'])
            lists = dict(train='', test='')
            for index, cultivar in enumerate(
                    track(cultivars, f"Drawing leaves into '{folder}'",
                          disable=not is_main_process())):
                for k, split in enumerate(splits):
                    name = f'{index + 1}_{k + 1}_{split}.png'
                    rng = np.random.default_rng([wanted['seed'], index, k])
                    image = draw_leaf(cultivar, wanted['image_size'], rng)
                    cv2.imwrite(str(draft / 'images' / name), image)
                    lists[split] += f'{name} {index + 1}\n'
            for split, lines in lists.items():
                (draft / 'anno' / f'{split}.txt').write_text(lines)
            (draft / _RECORD).write_text(json.dumps(wanted, indent=2))
            try:
                os.rename(draft, folder)
            except OSError:
                if not (folder / _RECORD).is_file():
                    raise

    def _check_record(self, record: Path) -> None:
        remedy = ('Give another data_root, or delete the folder to have it '
                  'drawn anew.')
        try:
            found = dict(json.loads(record.read_text()))
        except (OSError, TypeError, ValueError):
            raise ValueError(
                f"SyntheticLeaves: '{record.parent}' has no readable "
                f"'{_RECORD}', so it was not drawn by SyntheticLeaves. "
                f'{remedy}') from None
        wanted = self.collection
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            raise ValueError(
                f"SyntheticLeaves: '{record.parent}' was drawn with " +
                ', '.join(f'{name}={found.get(name)}' for name in other) +
                ', expected ' +
                ', '.join(f'{name}={wanted[name]}' for name in other) +
                f'. {remedy}')
