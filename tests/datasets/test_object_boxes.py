"""Boxes and masks of the releases, their crops, and their disorder."""
import mat4py
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmpretrain.registry import DATASETS
from PIL import Image

from csd_mmpretrain.datasets import BoxCrop, CUBObjects, StanfordCarsObjects
from csd_mmpretrain.datasets.object_boxes import read_cub_boxes
from csd_mmpretrain.datasets.object_masks import load_masks
from csd_mmpretrain.datasets.samples import list_infos

BOXES = ['1 60.0 27.0 325.0 304.0', '2 3.5 4.0 10.7 6.0',
         '3 0.0 0.0 20.0 30.0', '4 5.0 6.0 7.0 8.0']


@pytest.fixture
def cub(tmp_path):
    """Four images, the odd ones for training; pixels tell their place."""
    root = tmp_path / 'CUB_200_2011'
    names = [f'00{i}.Bird/Bird_{i}' for i in (1, 1, 2, 2)]
    names = [f'{name}_{i}' for i, name in enumerate(names)]
    for name in names:
        for folder, suffix in (('images', 'bmp'), ('segmentations', 'png')):
            path = root / folder / f'{name}.{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((40, 60, 3), np.uint8)
            pixels[..., 0], pixels[..., 1] = np.ogrid[:40, :60]
            if suffix == 'png':
                # A third of the people saw more of the bird.
                pixels = np.full((40, 60), 85, np.uint8)
                pixels[4:10, 3:9] = 204
            Image.fromarray(pixels).save(path)

    def write(file, lines):
        (root / file).write_text('\n'.join(lines) + '\n')

    write('images.txt', (f'{i} {name}.bmp' for i, name in enumerate(names, 1)))
    write('image_class_labels.txt', ['1 1', '2 1', '3 2', '4 2'])
    write('train_test_split.txt', ['1 1', '2 0', '3 1', '4 0'])
    write('bounding_boxes.txt', BOXES)
    return root


def test_cub(cub):
    train, test = (
        DATASETS.build(dict(
            type='CUBObjects', data_root=str(cub), split=split,
            pipeline=[dict(type='LoadImageFromFile'), dict(type='BoxCrop')]))
        for split in ('train', 'test'))
    assert [info['box'] for info in list_infos(train)] == [
        (60, 27, 385, 331), (0, 0, 20, 30)]
    assert [info['box'] for info in list_infos(test)] == [
        (3, 4, 14, 10), (5, 6, 12, 14)]
    assert 'mask_path' not in test.get_data_info(0)
    crop = test[0]
    assert crop['img_shape'] == crop['img'].shape[:2] == (6, 11)
    # OpenCV has red last: the row.
    assert crop['img'][0, 0].tolist() == [0, 3, 4]
    assert crop['img'][-1, -1].tolist() == [0, 13, 9]
    with pytest.raises(ValueError, match=r'60 x 40, but its box is \(60, 27'):
        train[0]


@pytest.mark.parametrize('line', [
    '2 3.5 4.0 10.7', '2 3.5 4.0 10.7 nan', '2 3.5 4.0 10.7 inf',
    '2 3.5 4.0 10.7 0.0', '2 3.5 4.0 -1.0 6.0', '2 a b c d', 'nan 3 4 5 6',
    '2 3.5 4.0 10.7 6.0 1'
])
def test_lines_of_boxes_that_are_none(cub, line):
    path = cub / 'bounding_boxes.txt'
    path.write_text('\n'.join([BOXES[0], line, *BOXES[2:]]))
    with pytest.raises(ValueError, match='bounding_boxes.txt, line 2: found'):
        CUBObjects(str(cub), 'test')


def test_lists_of_boxes_in_disorder(cub):
    path = cub / 'bounding_boxes.txt'
    path.write_text('\n'.join(BOXES[:1] * 2))
    with pytest.raises(ValueError, match='line 2: the image id 1 occurs tw'):
        read_cub_boxes(str(path))
    path.write_text('\n'.join(BOXES[:3]))
    assert len(CUBObjects(str(cub), 'train')) == 2
    with pytest.raises(ValueError, match='1 of 2 images have no line.*_3.bmp'):
        CUBObjects(str(cub), 'test')
    path.unlink()
    with pytest.raises(FileNotFoundError, match='bounding_boxes.txt.*no such'):
        CUBObjects(str(cub), 'test')


def test_masks_go_the_way_of_their_images(cub):
    infos = list_infos(CUBObjects(str(cub), 'test', masks=True))
    steps = [dict(type='LoadImageFromFile'), dict(type='BoxCrop'),
             dict(type='Resize', scale=(22, 12), interpolation='nearest'),
             dict(type='PackInputs')]
    masks = load_masks(infos, Compose(steps))
    assert masks.shape == (2, 12, 22) and masks.dtype == bool
    expected = np.zeros((12, 22), bool)
    expected[:, :12] = True
    np.testing.assert_array_equal(masks[0], expected)
    whole = load_masks(infos, Compose([steps[0], steps[-1]]))
    assert whole.sum() == 2 * 36 and whole[:, 4:10, 3:9].all()


def test_masks_that_do_not_fit(cub):
    infos = list_infos(CUBObjects(str(cub), 'test', masks=True))
    steps = Compose([dict(type='LoadImageFromFile'), dict(type='PackInputs')])
    Image.new('L', (60, 40)).save(infos[0]['mask_path'])
    with pytest.raises(ValueError, match='Bird_1_1.png.*empty'):
        load_masks(infos, steps)
    Image.new('L', (40, 60), 255).save(infos[0]['mask_path'])
    with pytest.raises(ValueError, match='it is 40 x 60, its image 60 x 40'):
        load_masks(infos, steps)
    (cub / 'segmentations' / '001.Bird' / 'Bird_1_1.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 of 2 are missing.*_1.png'):
        CUBObjects(str(cub), 'test', masks=True)
    with pytest.raises(ValueError, match='has no mask.*masks=True'):
        load_masks(list_infos(CUBObjects(str(cub), 'test')), steps)


@pytest.mark.parametrize('devkit', [False, True])
def test_cars(tmp_path, devkit):
    columns = dict(bbox_x1=[39, 5], bbox_y1=[116, 6], bbox_x2=[577, 25],
                   bbox_y2=[381, 36])
    columns['class'] = [7, 3]
    if devkit:
        (tmp_path / 'devkit').mkdir()
        path = tmp_path / 'devkit' / 'cars_train_annos.mat'
        columns.update(fname=['00001.jpg', '00002.jpg'])
    else:
        path = tmp_path / 'cars_annos.mat'
        columns.update(relative_im_path=['car_ims/1.jpg', 'car_ims/2.jpg'],
                       test=[0, 0])
    mat4py.savemat(str(path), dict(annotations=columns))
    infos = list_infos(StanfordCarsObjects(str(tmp_path)))
    assert [(info['box'], info['gt_label']) for info in infos] == [
        ((38, 115, 577, 381), 6), ((4, 5, 25, 36), 2)]
    columns['bbox_x2'] = [577, 4]
    mat4py.savemat(str(path), dict(annotations=columns))
    with pytest.raises(ValueError, match=r'2.jpg. is \(4, 5, 4, 36\)'):
        StanfordCarsObjects(str(tmp_path))
    del columns['bbox_x2']
    mat4py.savemat(str(path), dict(annotations=columns))
    with pytest.raises(ValueError, match='1.jpg. is .nan'):
        StanfordCarsObjects(str(tmp_path))


@pytest.mark.parametrize('box, shape', [
    ((1, 2, 4, 6), (4, 3)), ((-5, -5, 3, 4), (4, 3)),
    ((2, 3, 99, 99), (7, 6)), ((0, 0, 8, 10), (10, 8))])
def test_crops(box, shape):
    image = np.random.randint(256, size=(10, 8, 3), dtype=np.uint8)
    found = BoxCrop()(dict(img=image, box=box))
    assert found['img'].shape[:2] == found['img_shape'] == shape
    left, top, right, bottom = box
    expected = [[image[y, x] for x in range(8) if left <= x < right]
                for y in range(10) if top <= y < bottom]
    np.testing.assert_array_equal(found['img'], expected)


def test_images_without_a_box():
    image = np.zeros((10, 8, 3), np.uint8)
    assert BoxCrop()(dict(img=image))['img'] is image
    with pytest.raises(ValueError, match="'bird.jpg' has no box"):
        BoxCrop()(dict(img=image, gt_label=3, img_path='bird.jpg'))
