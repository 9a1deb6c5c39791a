"""Fine-grained datasets that know where the object of each image is."""
import math
import os
from pathlib import Path
from typing import Dict, List, Tuple

import mat4py
from mmpretrain.datasets import CUB, StanfordCars
from mmpretrain.registry import DATASETS

from csd_mmpretrain.utils.wording import first_names

Box = Tuple[int, int, int, int]


def read_cub_boxes(path: str) -> Dict[int, Box]:
    """Read the ``bounding_boxes.txt`` of CUB-200-2011.

    Args:
        path (str): The file: lines of image id, left, top, width and height.

    Returns:
        dict[int, tuple[int]]: Left, top, right, bottom in whole pixels, by
        image id from 1; right and bottom are excluded.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If a line is something else, or an id occurs twice.

    Example:
        >>> read_cub_boxes('data/CUB_200_2011/bounding_boxes.txt')[1]
        (60, 27, 385, 331)
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"'{path}' as the boxes of CUB-200-2011: no such file. Unpack "
            'the release wholly, which has it beside images.txt.')
    boxes: Dict[int, Box] = {}
    lines = Path(path).read_text(encoding='utf-8', errors='replace')
    for number, line in enumerate(lines.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            image, *numbers = line.split()
            image = int(image)
            left, top, width, height = map(float, numbers)
            # An infinite number: OverflowError; nan: ValueError.
            box = tuple(map(int, (left, top, left + width, top + height)))
            fits = box[0] < box[2] and box[1] < box[3]
        except (ValueError, OverflowError):
            fits = False
        if not fits:
            raise ValueError(
                f"{path}, line {number}: found {line!r}, expected '<image id> "
                "<left> <top> <width> <height>' in pixels, of a box with at "
                'least one. Unpack the release again.')
        if image in boxes:
            raise ValueError(f'{path}, line {number}: the image id '
                             f'{image} occurs twice. Remove one of its '
                             'lines.')
        boxes[image] = box
    return boxes


@DATASETS.register_module()
class CUBObjects(CUB):
    """CUB-200-2011 with the box, and if asked for the mask, of each bird.

    The transform ``BoxCrop`` crops to the boxes. The masks are an archive of
    their own, ``segmentations.tgz``. The folder is that of mmpretrain's
    ``CUB``, and::

        data_root
        ├── bounding_boxes.txt   <image id> <left> <top> <width> <height>
        └── segmentations
            ├── 001.Black_footed_Albatross
            │   ├── Black_Footed_Albatross_0001_796111.png
            │   └── ...
            └── ...

    Args:
        data_root (str): The unpacked folder ``CUB_200_2011``.
        split (str): 'train' or 'test'. Defaults to 'train'.
        masks (bool): Whether each image has a ``mask_path``. Defaults to
            False.
        **kwargs: Of mmpretrain's ``CUB``.

    Raises:
        FileNotFoundError: If the list of boxes, or a mask, is missing.
        ValueError: If the list of boxes is in disorder.

    Example:
        >>> info = CUBObjects('data/CUB_200_2011').get_data_info(0)
        >>> info['box']
        (139, 30, 292, 294)
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 masks: bool = False,
                 **kwargs):
        self.masks = masks
        super().__init__(data_root, split, **kwargs)

    def load_data_list(self) -> List[dict]:
        infos = super().load_data_list()
        path = os.path.join(self.data_root, 'bounding_boxes.txt')
        known = read_cub_boxes(path)
        # Images are numbered from 0 here, from 1 in the files.
        boxes = {
            self.backend.join_path(self.img_prefix, name): known.get(image + 1)
            for image, name in self._load_data_from_txt(self.ann_file).items()
        }
        for info in infos:
            info['box'] = boxes[info['img_path']]
        boxless = [info['img_path'] for info in infos if info['box'] is None]
        if boxless:
            raise ValueError(
                f'{path}: {len(boxless)} of {len(infos)} images have no line: '
                f'{first_names(boxless, 3)}. Unpack the release again.')
        if self.masks:
            self._add_masks(infos)
        return infos

    def _add_masks(self, infos: List[dict]) -> None:
        folder = os.path.join(self.data_root, 'segmentations')
        for info in infos:
            name = os.path.relpath(info['img_path'], self.img_prefix)
            info['mask_path'] = os.path.join(
                folder, f'{os.path.splitext(name)[0]}.png')
        missing = [info['mask_path'] for info in infos
                   if not os.path.isfile(info['mask_path'])]
        if missing:
            raise FileNotFoundError(
                f"'{folder}' as the masks of CUB-200-2011: {len(missing)} of "
                f'{len(infos)} are missing: {first_names(missing, 3)}. Unpack '
                'segmentations.tgz of the release there.')


@DATASETS.register_module()
class StanfordCarsObjects(StanfordCars):
    """Stanford Cars with the box of each car.

    The transform ``BoxCrop`` crops to them. The boxes are in the lists that
    mmpretrain's ``StanfordCars`` reads; folder and arguments are its own.

    Raises:
        ValueError: If a box is missing, or holds no pixel.

    Example:
        >>> StanfordCarsObjects('data/stanfordcars').get_data_info(0)['box']
        (111, 6, 853, 717)
    """

    def load_data_list(self) -> List[dict]:
        infos = super().load_data_list()
        table = mat4py.loadmat(self.ann_file)['annotations']
        names = table.get('relative_im_path') or table['fname']
        columns = [table.get(f'bbox_{side}', ())
                   for side in ('x1', 'y1', 'x2', 'y2')]
        # Pixels count from 1 there, and the last one is in the box.
        boxes = {
            self.backend.join_path(self.img_prefix, name):
            (box[0] - 1, box[1] - 1, box[2], box[3])
            for name, box in zip(names, zip(*columns))
        }
        for info in infos:
            box = boxes.get(info['img_path'], (math.nan, ) * 4)
            if not (box[0] < box[2] and box[1] < box[3]):
                raise ValueError(
                    f'{self.ann_file}: the box of {info["img_path"]!r} is '
                    f'{box}, expected bbox_x1, bbox_y1, bbox_x2 and bbox_y2 '
                    'of at least one pixel. Unpack the release again.')
            info['box'] = tuple(map(int, box))
        return infos
