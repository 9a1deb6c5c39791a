"""The tools on hostile checkpoints and images: one error, and nothing runs."""
import os
import shutil

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.datasets.data_check import check_data
from csd_mmpretrain.runtime.run_options import (
    make_train_config,
    make_train_parser,
)


class Payload:
    """Makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path, )


@pytest.fixture
def made(tmp_path):
    """What the payload would make."""
    return tmp_path / 'made'


@pytest.fixture
def payload(tmp_path, made):
    path = tmp_path / 'payload.pth'
    state = {'backbone.conv1.conv.weight': torch.ones(8, 3, 3, 3)}
    torch.save(dict(state_dict=state, meta={}, extra=Payload(made)), path)
    return path


INIT_CFG = ('model.backbone.init_cfg.type=Pretrained',
            'model.backbone.init_cfg.prefix=backbone.',
            'model.backbone.init_cfg.checkpoint=PAYLOAD')


@pytest.mark.parametrize('tool, script, options', [
    ('ours', 'test.py', ['PAYLOAD']),
    ('stock', 'test.py', ['PAYLOAD']),
    ('ours', 'train.py', ['--cfg-options', *INIT_CFG]),
    ('stock', 'train.py', ['--cfg-options', 'load_from=PAYLOAD'])])
def test_hostile_payload(tool, script, options, payload, made, tiny_config,
                         repo_root, mmpretrain_tools, run_python, tmp_path):
    folder = repo_root / 'tools' if tool == 'ours' else mmpretrain_tools
    options = [option.replace('PAYLOAD', str(payload)) for option in options]
    done = run_python(folder / script, tiny_config, *options, '--work-dir',
                      tmp_path / 'work', fails=True)
    last = done.stdout.strip().splitlines()[-1]
    for text in ('ValueError', str(payload), 'Python objects (posix.mkdir)',
                 'Nothing of it was run', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'):
        assert text in last
    assert not made.exists()
    torch.load(payload, weights_only=False)
    assert made.exists()


@pytest.mark.parametrize('options', [
    ['--resume', 'PAYLOAD'], ['--weights', 'PAYLOAD'],
    ['--cfg-options', 'load_from=PAYLOAD']], ids=lambda options: options[0])
def test_hostile_payload_in_an_option(options, payload, made, tiny_config):
    """Refused before there is a runner."""
    options = [option.replace('PAYLOAD', str(payload)) for option in options]
    args = make_train_parser().parse_args([str(tiny_config), *options])
    with pytest.raises(ValueError, match='Python objects .posix.mkdir.'):
        make_train_config(args)
    assert not made.exists()


def test_hostile_test_with_random_weights(trained, tiny_config, run_python,
                                          mmpretrain_tools, tmp_path):
    content = torch.load(trained.checkpoint, weights_only=True)
    del content['state_dict']['head.cls_head.fc.weight']
    torch.save(content, tmp_path / 'partial.pth')
    done = run_python(mmpretrain_tools / 'test.py', tiny_config,
                      tmp_path / 'partial.pth', '--work-dir', tmp_path,
                      fails=True)
    error = done.stdout[done.stdout.rindex('ValueError'):]
    for text in ('partial.pth does not fit this test',
                 '1 tensors are missing: head.cls_head.fc.weight',
                 'Test with the config'):
        assert text in error


@pytest.fixture
def hostile_data(tmp_path, tiny_data):
    """The tiny data with bad files in every split, and their names."""
    bad = {
        'train/class0/empty.png': b'', 'train/class1/page.jpg': b'<html>',
        'test/class5/text.png': b'hello',
    }
    for split in ('train', 'test'):
        for path in (tiny_data / split).rglob('*.png'):
            copy = tmp_path / 'data' / path.relative_to(tiny_data)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for name, content in bad.items():
        (tmp_path / 'data' / name).write_bytes(content)
    damaged = tmp_path / 'data/train/class2/0.png'
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 255
    damaged.write_bytes(data)
    Image.new('F', (40, 40), 200).save(tmp_path / 'data/test/class0/f.tif')
    return tmp_path / 'data', [*bad, 'train/class2/0.png',
                               'test/class0/f.tif']


def test_hostile_images_and_check_data(hostile_data, tiny_config, tiny_data,
                                       repo_root, run_python, tmp_path):
    """All bad files at once."""
    root, bad = hostile_data
    config = tmp_path / 'hostile.py'
    config.write_text(tiny_config.read_text().replace(
        tiny_data.as_posix(), root.as_posix()))
    done = run_python(repo_root / 'tools/train.py', config, '--check-data',
                      fails=True)
    assert done.returncode == 1
    assert '5 of 40 image files of train_dataloader, val' in done.stdout
    for name in bad:
        assert done.stdout.count(f'  {root}/{name}\n') == 1
    for line in ('empty: 1', 'not an image: 2', 'damaged: 1',
                 'by OpenCV (TIFF, F): 1', 'convert'):
        assert line in done.stdout
    assert 'Traceback' not in done.stdout


def test_hostile_free_data_and_check_data(tiny_config, capsys):
    assert check_data(Config.fromfile(tiny_config))
    out = capsys.readouterr().out
    assert '0 of 36 image files' in out and 'Decoding the data' in out
    assert 'left out' not in out


def test_hostile_extensions_and_check_data(tiny_config, tiny_data, tmp_path,
                                           capsys):
    """What the dataset leaves out is told, for each folder once."""
    for split in ('train', 'test'):
        shutil.copytree(tiny_data / split, tmp_path / split)
    left_out = ['test/class0/a.HEIC', 'train/class0/b.webp',
                'train/class1/deep/c.tiff']
    for name in (*left_out, 'train/class0/note.txt', 'train/top.webp',
                 'train/class0/._b.webp'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'any')
    cfg = Config.fromstring(
        tiny_config.read_text().replace(tiny_data.as_posix(),
                                        tmp_path.as_posix()), '.py')
    assert check_data(cfg)
    out = capsys.readouterr().out
    assert '0 of 36 image files' in out
    lines = [line for line in out.splitlines() if 'left out' in line]
    for line, split, names in zip(lines, ('train', 'test'),
                                  (left_out[1:], left_out[:1])):
        names = ', '.join(f'{tmp_path}/{name}' for name in names)
        assert f'left out in {tmp_path}/{split}: ' in line
        assert f'({names}). The dataset' in line
    assert len(lines) == 2 and '.bmp, .jpeg, .jpg,' in lines[0]
    cfg.train_dataloader.dataset.ann_file = 'list.txt'
    cfg.val_dataloader.dataset.extensions = ('.png', '.heic')
    cfg.test_dataloader = None
    (tmp_path / 'train/list.txt').write_text('class0/0.png 0')
    assert not check_data(cfg)
    out = capsys.readouterr().out
    assert 'left out' not in out and 'a.HEIC' in out
