"""Photos of training are shown as they were seen in the fit."""
import numpy as np
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.methods.epic.load_explainer import photo_loader


def test_photos_are_cropped_to_their_boxes(tmp_path):
    images = tmp_path / 'images'
    images.mkdir()
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(pixels).save(images / 'a.png')
    Image.fromarray(pixels).save(images / 'b.png')
    (tmp_path / 'images.txt').write_text('1 a.png\n')
    (tmp_path / 'image_class_labels.txt').write_text('1 1\n')
    (tmp_path / 'train_test_split.txt').write_text('1 1\n')
    (tmp_path / 'bounding_boxes.txt').write_text('1 2 1 5 3\n')
    dataset = dict(
        type='CUBObjects', data_root=str(tmp_path), split='train',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='BoxCrop'),
                  dict(type='PackInputs')])
    load = photo_loader(Config(dict(
        train_dataloader=dict(dataset=dataset),
        test_dataloader=dict(dataset=dataset))))
    found = load(str(images / 'a.png'))['inputs']
    np.testing.assert_array_equal(found[0], pixels[1:4, 2:7])
    # What is no photo of the training has no box.
    assert load(str(images / 'b.png'))['inputs'].shape == (3, 6, 8)
