"""Cotton80's config on Cotton80's own lists: train, resume, test."""
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
CONFIG = 'configs/csdnet/cotton80.py'
SMALL = [
    'model.backbone.arch=tiny', 'model.backbone.img_size=64',
    'model.backbone.pad_small_map=True', 'model.backbone.init_cfg=None',
    'model.neck.in_channels=768', 'model.head.cls_head.in_channels=768',
    'model.head.ddl.feat_dim=768',
    'train_dataloader.dataset.pipeline.1.scale=64',
    'val_dataloader.dataset.pipeline.1.scale=72',
    'val_dataloader.dataset.pipeline.2.crop_size=64',
    'test_dataloader.dataset.pipeline.1.scale=72',
    'test_dataloader.dataset.pipeline.2.crop_size=64',
    'train_dataloader.num_workers=1', 'val_dataloader.num_workers=1',
    'test_dataloader.num_workers=1', 'default_hooks.logger.interval=5',
    'default_hooks.checkpoint.interval=1'
]


def draw(path, label, random):
    """Noise over a colour of the class, with an alpha channel."""
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


@pytest.mark.slow
def test_trains_resumes_and_tests(cotton80, tmp_path, run_python):
    def run(tool, *args):
        return run_python(REPO / 'tools' / tool, REPO / CONFIG, *args,
                          '--work-dir', tmp_path, '--cfg-options', *SMALL,
                          f'train_cfg.max_epochs={epochs}',
                          CSD_DATA_ROOT=str(cotton80)).stdout

    epochs = 1
    log = run('train.py')
    assert '240 images, 80 classes' in log
    for key in ('loss_cls_aug', 'loss_qc', 'ddl_positives', 'loss_ssdt',
                'ssdp_area'):
        assert f'{key}: ' in log
    epochs = 2
    log = run('train.py', '--resume')
    assert 'resumed epoch: 1' in log and 'Epoch(train) [2]' in log
    assert 'Epoch(train) [1]' not in log
    # The queue came back full: every anchor finds its class in it.
    assert 'ddl_positives: 3.0000' in log
    log = run('test.py', tmp_path / 'epoch_2.pth')
    assert 'accuracy/top1' in log
