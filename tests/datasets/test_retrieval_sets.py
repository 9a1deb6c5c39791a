"""Online Products and In-Shop: the releases' layouts, and their disorder."""
import pytest
from mmpretrain.registry import DATASETS

from csd_mmpretrain.datasets import InShopRetrieval, OnlineProducts
from csd_mmpretrain.datasets.same_classes import compare_classes


@pytest.fixture
def products(tmp_path):
    root = tmp_path / 'Stanford_Online_Products'
    root.mkdir()
    for split, ids in (('train', (1, 1, 2)), ('test', (3, 4, 4))):
        lines = ['image_id class_id super_class_id path']
        lines += [f'{i} {c} 1 bicycle_final/{split}_{i}.JPG'
                  for i, c in enumerate(ids)]
        (root / f'Ebay_{split}.txt').write_text('\n'.join(lines) + '\n')
    return root


@pytest.fixture
def inshop(tmp_path):
    root = tmp_path / 'inshop'
    (root / 'Eval').mkdir(parents=True)
    (root / 'Img').mkdir()
    rows = ['img/a.jpg id_1 train', 'img/b.jpg id_1 train',
            'img/c.jpg id_2 query', 'img/d.jpg id_2 gallery',
            'img/e.jpg id_9 gallery']
    (root / 'Eval/list_eval_partition.txt').write_text(
        '\n'.join(['5', 'image_name item_id evaluation_status', *rows]))
    return root


def test_online_products(products):
    train, test = (
        DATASETS.build(dict(type='OnlineProducts', data_root=str(products),
                            split=split)) for split in ('train', 'test'))
    assert train.get_gt_labels().tolist() == [0, 0, 1]
    assert test.get_gt_labels().tolist() == [0, 1, 1]
    assert train.CLASSES == ('1', '2') and test.CLASSES == ('3', '4')
    assert test.get_data_info(2)['img_path'] == str(
        products / 'bicycle_final/test_2.JPG')
    compare_classes(train, test, 'test')
    with pytest.raises(ValueError, match='2 of its 2 classes'):
        compare_classes(test, OnlineProducts(
            str(products), split='test'), 'test')


def test_in_shop(inshop):
    train, test = (InShopRetrieval(str(inshop), split=split)
                   for split in ('train', 'test'))
    assert train.get_gt_labels().tolist() == [0, 0]
    assert test.CLASSES == ('id_2', 'id_9')
    infos = [test.get_data_info(i) for i in range(3)]
    assert [info['in_gallery'] for info in infos] == [False, True, True]
    assert [info['gt_label'] for info in infos] == [0, 0, 1]
    assert infos[0]['img_path'] == str(inshop / 'Img/img/c.jpg')
    compare_classes(train, test, 'test')


@pytest.mark.parametrize('part', ['query', 'gallery'])
def test_in_shop_without_query_or_gallery(inshop, part):
    path = inshop / 'Eval/list_eval_partition.txt'
    path.write_text('\n'.join(line for line in path.read_text().splitlines()
                              if not line.endswith(part)))
    with pytest.raises(ValueError, match=f'no image as {part}.*Unpack'):
        InShopRetrieval(str(inshop), split='test')


def test_disorder(products, inshop):
    with open(products / 'Ebay_test.txt', 'a') as file:
        file.write('7 4 bicycle\n')
    with pytest.raises(ValueError, match='line 5: found 3 words, expected 4'):
        OnlineProducts(str(products), split='test')
    (products / 'Ebay_train.txt').unlink()
    with pytest.raises(FileNotFoundError, match="has no 'Ebay_train.txt'"):
        OnlineProducts(str(products))
    with pytest.raises(ValueError, match="split='query', expected"):
        InShopRetrieval(str(inshop), split='query')
