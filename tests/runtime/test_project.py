"""Projects of photos, and what stands in their configs."""
import csv

import pytest
from mmpretrain.registry import DATASETS
from noise_images import write_noise_images

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.datasets.photos import Photo, read_photo_folder
from csd_mmpretrain.runtime.project import count_rows, write_project
from csd_mmpretrain.runtime.run_options import load_config

SPLITS = ['train', 'train', 'val', 'test'] * 3


@pytest.fixture
def photos(tmp_path):
    (tmp_path / 'my photos').mkdir()
    root = write_noise_images(tmp_path / 'my photos', 4, size=260)
    return str(root), read_photo_folder(str(root))


@pytest.mark.parametrize('base, head', [
    ('csdnet/grocery81.py', 'cls_head'),
    ('peers/grocery81_arcface.py', None)])
def test_a_project_trains_on_its_photos(
        tmp_path, repo_root, photos, base, head):
    base = str(repo_root / 'configs' / base)
    project = write_project(str(tmp_path / "Anna's v1.2"), *photos,
                            SPLITS, base)
    assert project.config == tmp_path / "Anna's v1.2" / "Anna's v1_2.py"
    assert count_rows(project) == [(f'class{i}', 2, 1, 1) for i in range(3)]
    cfg = load_config(str(project.config))
    seen = []
    for split, count in (('train', 6), ('val', 3), ('test', 3)):
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        assert dataset.metainfo['classes'] == ('class0', 'class1', 'class2')
        assert len(dataset) == count
        for i in range(count):
            info = dataset.get_data_info(i)
            assert f"class{info['gt_label']}/" in info['img_path']
            seen.append(info['img_path'])
        assert dataset[0]['inputs'].shape == (3, 224, 224)
    assert len(set(seen)) == 12
    model = build_bare_model(cfg)
    assert getattr(model.head, head or '', model.head).num_classes == 3
    if head:
        assert model.head.contrast.queue.length == 6
    assert cfg.train_dataloader.batch_size == 4  # two batches in an epoch
    assert cfg.val_evaluator[0].topk == (1, )
    table = project.config.with_name('photos.csv')
    with open(table, encoding='utf-8') as file:
        assert [row['split'] for row in csv.DictReader(file)] == SPLITS
    every = project.config.with_name('all.txt').read_text().splitlines()
    assert every[4] == 'class1/0.png 1' and len(every) == 12


def test_a_project_is_never_written_over(tmp_path, repo_root, photos):
    base = str(repo_root / 'configs/csdnet/grocery81.py')
    args = (str(tmp_path / 'p'), *photos, SPLITS)
    write_project(*args, base)
    with pytest.raises(FileExistsError, match='has a project already'):
        write_project(*args, base)


@pytest.mark.parametrize('path, label', [
    (' a/b.jpg', 'a'), ('a/b\n.jpg', 'a'), ('a/b.jpg\n', 'a'),
    ('a/b.jpg', 'ma\nple'), ('a/b.jpg', 'maple ')])
def test_names_that_no_list_can_hold(tmp_path, path, label):
    with pytest.raises(ValueError, match='1 .* cannot stand in a list'):
        write_project(str(tmp_path / 'p'), 'photos', [Photo(path, label, 'b')],
                      ['train'])
    assert not (tmp_path / 'p').exists()


@pytest.mark.parametrize('base, message', [
    ('cmd/cmd_swin-tiny_cotton80.py', 'model.head.num_classes'),
    ('benchmark/leaves.py', 'train_pipeline, test_pipeline')])
def test_a_base_that_is_no_classifier(
        tmp_path, repo_root, photos, base, message):
    with pytest.raises(ValueError, match=f'has no {message}'):
        write_project(str(tmp_path / 'p'), *photos, SPLITS,
                      str(repo_root / 'configs' / base))
    assert not (tmp_path / 'p').exists()
