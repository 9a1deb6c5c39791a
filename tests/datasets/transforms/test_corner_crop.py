"""CornerCrop against slices and mmcv's CenterCrop."""
import numpy as np
import pytest
from mmcv.transforms import CenterCrop

from csd_mmpretrain.datasets.transforms.corner_crop import PLACES, CornerCrop


@pytest.mark.parametrize('height, width, size', [
    (32, 32, 32), (33, 40, 32), (41, 35, 32), (50, 37, (30, 20)), (5, 4, 1),
])
def test_places(height, width, size):
    image = np.random.randint(256, size=(height, width, 3), dtype=np.uint8)
    w, h = (size, size) if isinstance(size, int) else size
    expected = {
        'center': CenterCrop(size)(dict(img=image))['img'],
        'top-left': image[:h, :w],
        'top-right': image[:h, width - w:],
        'bottom-left': image[height - h:, :w],
        'bottom-right': image[height - h:, width - w:],
    }
    assert set(expected) == set(PLACES)
    for place, crop in expected.items():
        results = CornerCrop(size, place)(dict(img=image))
        assert (results['img'] == crop).all()
        assert results['img_shape'] == (h, w)


def test_bad_input():
    with pytest.raises(ValueError, match="place='middle', expected one of"):
        CornerCrop(8, 'middle')
    with pytest.raises(ValueError, match='image is 9 x 7, the crop 8 x 8'):
        CornerCrop(8)(dict(img=np.zeros((7, 9, 3))))
