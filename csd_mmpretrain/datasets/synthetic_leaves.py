"""SyntheticLeaves: a drawn dataset in the Ultra-FGVC format."""
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmpretrain.registry import DATASETS
from rich.progress import track

from .leaf_drawing import breed_cultivars, draw_leaf
from .ultra_fgvc import UltraFGVCDataset, class_names

DRAWING_VERSION = 2
RECORD = 'leaves.json'


@dataclass(frozen=True)
class LeafCollection:
    """What a drawn folder depends on.

    Args:
        num_classes (int): Number of cultivars, 2 or more. Defaults to 20.
        train_per_class (int): Training images of each. Defaults to 8.
        test_per_class (int): Test images of each. Defaults to 8.
        image_size (int): Height and width in pixels. Defaults to 160.
        seed (int): Seed of cultivars and images. Defaults to 0.
        version (int): Version of the drawing code.

    Raises:
        ValueError: If a number is too small.
    """

    num_classes: int = 20
    train_per_class: int = 8
    test_per_class: int = 8
    image_size: int = 160
    seed: int = 0
    version: int = DRAWING_VERSION

    def __post_init__(self):
        least = dict(num_classes=2, train_per_class=1, test_per_class=1,
                     image_size=32, seed=0)
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise ValueError(f'SyntheticLeaves: {name}={value!r}, '
                                 f'expected a whole number, {low} or more.')


def draw_collection(folder: Path, collection: LeafCollection) -> None:
    """Draw a whole dataset in the format of Cotton80.

    Writes ``images/{class}_{k}_{train|test}.png``, ``anno/train.txt``,
    ``anno/test.txt`` and ``leaves.json``. Every image has random numbers of
    its own, from (seed, class, k), so the same collection gives the same
    bytes again (with the same versions of NumPy and OpenCV).

    The folder appears when all is drawn: it is drawn under another name and
    renamed. Of several processes that draw at once, the first to end wins.

    Args:
        folder (Path): The folder to make; nothing or an empty folder is
            there before.
        collection (LeafCollection): What to draw.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f'.{folder.name}-') as workshop:
        draft = Path(workshop) / folder.name
        (draft / 'images').mkdir(parents=True)
        (draft / 'anno').mkdir()
        cultivars = breed_cultivars(collection.num_classes, collection.seed)
        lists = dict(train=[], test=[])
        for index, cultivar in enumerate(
                track(cultivars, f"Drawing leaves into '{folder}'",
                      disable=not is_main_process())):
            for k in range(collection.train_per_class
                           + collection.test_per_class):
                split = 'train' if k < collection.train_per_class else 'test'
                name = f'{index + 1}_{k + 1}_{split}.png'
                rng = np.random.default_rng([collection.seed, index, k])
                image = draw_leaf(cultivar, collection.image_size, rng)
                cv2.imwrite(str(draft / 'images' / name), image)
                lists[split].append(f'{name} {index + 1}\n')
        for split, lines in lists.items():
            (draft / 'anno' / f'{split}.txt').write_text(''.join(lines))
        (draft / RECORD).write_text(json.dumps(asdict(collection), indent=2))
        try:
            os.rename(draft, folder)
        except OSError:
            if not (folder / RECORD).is_file():
                raise


@DATASETS.register_module()
class SyntheticLeaves(UltraFGVCDataset):
    """Drawn leaves of cultivars that differ only in their details.

    Cultivars differ in venation, margin and lobing; pose, colour, light,
    size, background and small deformations vary from image to image. The
    dataset needs no download: it is drawn on first use (about 15 seconds
    with the defaults), in the format of Cotton80, and then read by the same
    code. Nothing about it comes from the paper; it is for demonstrations and
    tests.

    A folder that was drawn with other arguments is never overwritten: this
    is an error.

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
        >>> from csd_mmpretrain.datasets import SyntheticLeaves
        >>> SyntheticLeaves('data/synthetic_leaves', split='test')
        Dataset SyntheticLeaves
            Number of samples:  160
            Number of categories:       20
            Root of dataset:    data/synthetic_leaves
            Split:      test
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
        self.collection = LeafCollection(num_classes, train_per_class,
                                         test_per_class, image_size, seed)
        kwargs.setdefault('classes', class_names(num_classes))
        super().__init__(data_root, split=split, **kwargs)

    def load_data_list(self):
        """Draw the dataset where that is not done yet, and read the list.

        Returns:
            list[dict]: ``img_path`` (str) and ``gt_label`` (int, from 0).
        """
        folder = Path(self.data_root)
        if not folder.exists() or (folder.is_dir()
                                   and not any(folder.iterdir())):
            try:
                draw_collection(folder, self.collection)
            except PermissionError as error:
                raise PermissionError(
                    f"SyntheticLeaves: cannot draw into '{folder}' "
                    f'({error}). Set data_root, or the environment variable '
                    'CSD_DATA_ROOT, to a folder that can be written.'
                ) from None
        self._check_record(folder / RECORD)
        return super().load_data_list()

    def _check_record(self, record: Path) -> None:
        """Tell if the folder is not what was asked for."""
        remedy = ('Give another data_root, or delete the folder to have it '
                  'drawn anew.')
        try:
            found = dict(json.loads(record.read_text()))
        except (OSError, ValueError):
            raise ValueError(
                f"SyntheticLeaves: '{record.parent}' has no readable "
                f"'{RECORD}', so it was not drawn by SyntheticLeaves. "
                f'{remedy}') from None
        wanted = asdict(self.collection)
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            raise ValueError(
                f"SyntheticLeaves: '{record.parent}' was drawn with " +
                ', '.join(f'{name}={found.get(name)}' for name in other) +
                ', expected ' +
                ', '.join(f'{name}={wanted[name]}' for name in other) +
                f'. {remedy}')
