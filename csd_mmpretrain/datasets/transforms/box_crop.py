"""Crops to the object of an image."""
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BoxCrop(BaseTransform):
    """Crop an image to the box that its dataset knows.

    It comes after loading. The part of a box that is outside the image does
    not count. An image without label, such as one that a person gives to be
    explained, has no box and stays whole.

    Required keys: img, box (left, top, right, bottom in pixels; right and
    bottom are excluded). Modified keys: img, img_shape.

    Raises:
        ValueError: If a labeled image has no box, or its box is outside the
            image.

    Example:
        >>> BoxCrop()(dict(img=image, box=(10, 20, 40, 60)))['img'].shape
        (40, 30, 3)
    """

    def transform(self, results: dict) -> dict:
        if 'box' not in results:
            if 'gt_label' not in results:
                return results
            raise ValueError(
                f'BoxCrop: {results.get("img_path")!r} has no box. Take a '
                'dataset that reads boxes, such as CUBObjects or '
                'StanfordCarsObjects, or leave BoxCrop out.')
        left, top, right, bottom = results['box']
        image = results['img']
        crop = image[max(0, top):max(0, bottom), max(0, left):max(0, right)]
        if not crop.size:
            raise ValueError(
                f'BoxCrop: {results.get("img_path")!r} is {image.shape[1]} x '
                f'{image.shape[0]}, but its box is {results["box"]}. Correct '
                'the line of the list of boxes, or unpack the images again.')
        results.update(img=crop, img_shape=crop.shape[:2])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
