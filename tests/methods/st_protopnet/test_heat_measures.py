"""Measures of the heat, on photos with masks and without."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from noise_images import write_noise_images
from PIL import Image

from csd_mmpretrain.methods.st_protopnet.explainer import Photo
from csd_mmpretrain.methods.st_protopnet.heat_measures import heat_measures

STEPS = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


class CenterExplainer:
    """Its heat is 1 in the middle; its class depends on the middle alone."""

    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=STEPS))))

    def photo(self, info):
        inputs = Compose(STEPS)(dict(info))['inputs'].float()
        return Photo(None, inputs, {})

    def heat(self, photo, label):
        heat = np.zeros(photo.inputs.shape[1:], np.float32)
        heat[10:30, 10:30] = 1
        return heat

    def model(self, images, mode):
        middle = images[:, :, 10:30, 10:30].flatten(1).mean(1)
        return torch.stack([middle, -middle], 1)


@pytest.fixture
def infos(tmp_path):
    images = write_noise_images(tmp_path, 1, size=40, classes=2)
    found = []
    for label in (0, 1):
        mask = np.zeros((40, 40), np.uint8)
        mask[10:30, 10:30] = 255
        path = images / f'mask{label}.png'
        Image.fromarray(mask).save(path)
        found.append(dict(img_path=str(images / f'class{label}/0.png'),
                          mask_path=str(path), gt_label=label))
    return found


def test_a_heat_that_is_the_mask(infos):
    found = heat_measures(CenterExplainer(), infos)
    assert list(found) == ['CH', 'OIRR', 'IoU', 'DAUC']
    assert found['CH'] == found['IoU'] == 1 and found['OIRR'] == 0
    # All that counts is gone after a quarter of the steps.
    assert .5 < found['DAUC'] < .7


def test_photos_without_masks_and_empty_ones_are_refused(infos):
    with pytest.raises(ValueError, match='has no mask'):
        heat_measures(CenterExplainer(), [
            {k: v for k, v in infos[0].items() if k != 'mask_path'}])
    Image.new('L', (40, 40)).save(infos[1]['mask_path'])
    with pytest.raises(ValueError, match='it is empty'):
        heat_measures(CenterExplainer(), infos)
