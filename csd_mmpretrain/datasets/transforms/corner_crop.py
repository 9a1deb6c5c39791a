"""Crops at the center and the corners of an image."""
from typing import Sequence, Union

from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

PLACES = ('center', 'top-left', 'top-right', 'bottom-left', 'bottom-right')


@TRANSFORMS.register_module()
class CornerCrop(BaseTransform):
    """Crop an image at a corner, or at its center as CenterCrop does.

    Required keys: img. Modified keys: img, img_shape.

    Args:
        crop_size (int | Sequence[int]): The side, or width and height, of the
            crop in pixels, as CenterCrop has it.
        place (str): 'center', 'top-left', 'top-right', 'bottom-left' or
            'bottom-right'. Defaults to 'center'.

    Raises:
        ValueError: If the place is unknown, or an image is smaller than the
            crop.

    Example:
        >>> CornerCrop(448, 'top-left')(dict(img=image))['img'].shape
        (448, 448, 3)
    """

    def __init__(self,
                 crop_size: Union[int, Sequence[int]],
                 place: str = 'center'):
        if place not in PLACES:
            raise ValueError(f'CornerCrop: place={place!r}, expected one of '
                             f'{", ".join(PLACES)}.')
        self.width, self.height = ((crop_size, crop_size) if isinstance(
            crop_size, int) else crop_size)
        self.place = place

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        down, right = height - self.height, width - self.width
        if down < 0 or right < 0:
            raise ValueError(
                f'CornerCrop: the image is {width} x {height}, the crop '
                f'{self.width} x {self.height}. Resize to more before it.')
        if self.place == 'center':
            top, left = round(down / 2), round(right / 2)  # as CenterCrop
        else:
            top = down if self.place.startswith('bottom') else 0
            left = right if self.place.endswith('right') else 0
        crop = results['img'][top:top + self.height, left:left + self.width]
        results.update(img=crop, img_shape=crop.shape[:2])
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(crop_size=({self.width}, '
                f'{self.height}), place={self.place!r})')
