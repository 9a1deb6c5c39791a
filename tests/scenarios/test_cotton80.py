"""Cotton80's config on Cotton80's own lists: train, resume, test."""
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
SMALL = """
_base_ = '{repo}/configs/csdnet/cotton80.py'

arch = dict(embed_dims=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4])
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        arch=arch,
        img_size=64,
        pad_small_map=True),
    neck=dict(in_channels=128),
    head=dict(cls_head=dict(in_channels=128), contrast=dict(feat_dim=128)))

crop = dict(type='RandomResizedCrop', scale=64)
train_pipeline = [_base_.train_pipeline[0], crop, *_base_.train_pipeline[2:]]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
load, _, _, pack = _base_.test_pipeline
test_pipeline = [load, dict(type='Resize', scale=64), pack]
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))

default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=1))
"""


def draw(path, label, random):
    """Noise over a color of the class, with an alpha channel."""
    image = random.randint(0, 80, (72, 72, 4), dtype=np.uint8)
    image[..., label % 3] += np.uint8(2 * label)
    Image.fromarray(image, 'RGBA').save(path)


@pytest.fixture(scope='module')
def cotton80(tmp_path_factory, shared_dir):
    """The release's lists with small drawn images."""
    root = tmp_path_factory.mktemp('release') / 'COTTON'
    shutil.copytree(shared_dir / 'annotations' / 'COTTON' / 'anno',
                    root / 'anno')
    (root / 'images').mkdir()
    random = np.random.RandomState(0)
    for split in ('train', 'test'):
        for line in (root / 'anno' / f'{split}.txt').read_text().splitlines():
            name, label = line.rsplit(' ', 1)
            draw(root / 'images' / name, int(label), random)
    return root.parent


def test_trains_resumes_and_tests(cotton80, tmp_path, run_python):
    config = tmp_path / 'small.py'
    config.write_text(SMALL.format(repo=REPO.as_posix()))

    def run(tool, *args, epochs=2):
        return run_python(REPO / 'tools' / tool, config, *args, '--work-dir',
                          tmp_path, '--cfg-options',
                          f'train_cfg.max_epochs={epochs}',
                          CSD_DATA_ROOT=str(cotton80)).stdout

    log = run('train.py', epochs=1)
    assert '240 images, 80 classes' in log
    for key in ('loss_cls_aug', 'loss_qc', 'ddl_positives', 'loss_ssdt',
                'ssdp_area'):
        assert f'{key}: ' in log
    log = run('train.py', '--resume')
    assert 'resumed epoch: 1' in log and 'Epoch(train) [2]' in log
    assert 'Epoch(train) [1]' not in log
    # The queue came back full: every anchor finds its class in it.
    assert 'ddl_positives: 3.0000' in log
    log = run('test.py', tmp_path / 'epoch_2.pth')
    assert 'accuracy/top1' in log
