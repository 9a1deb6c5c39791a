import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model


@pytest.fixture(scope='module')
def tool(repo_root):
    return repo_root / 'tools/visualization/vis_retrieval.py'


def test_the_command_that_users_know(run_python, tool, tiny_config, tmp_path):
    model = build_bare_model(Config.fromfile(tiny_config))
    torch.save(model.backbone.state_dict(), tmp_path / 'backbone.pth')
    done = run_python(
        tool, tiny_config, tmp_path / 'backbone.pth', '--protocol',
        'leave-one-out', '--stage', 'backbone', '--num', 3, '--per-page', 2,
        '--wrong-first', '--dpi', 60, '--device', 'cpu', '--out',
        tmp_path / 'new' / 'rows.png')
    assert '3 queries (leave-one-out)' in done.stdout
    sizes = [Image.open(tmp_path / 'new' / f'rows_{page}.png').size
             for page in (1, 2)]
    assert sizes[0][0] == sizes[1][0] and sizes[0][1] < sizes[1][1]


@pytest.mark.parametrize('protocol, expected', [
    ('leave-one-out', 'none of the 2 queries of leave-one-out has another '
     'image of its class in the gallery of 2 images'),
    ('every-9th', 'none of the 1 queries of every-9th has another image of '
     'its class in the gallery of 2 images')])
def test_wrong_first_where_no_class_can_be_found(
        tool, tiny_config, tmp_path, monkeypatch, protocol, expected):
    """It is noticed before there is a model."""
    (tmp_path / 'train/a').mkdir(parents=True)
    for folder in ('train/b', 'test/a', 'test/b'):
        (tmp_path / folder).mkdir(parents=True)
        Image.new('RGB', (40, 40)).save(tmp_path / folder / '0.png')
    dataset = "type='CustomDataset', data_root='{}', classes=['a', 'b']"
    config = tmp_path / 'few.py'
    config.write_text(f'_base_ = {str(tiny_config)!r}\n' + '\n'.join(
        f'{split}_dataloader = dict(dataset=dict('
        f'{dataset.format((tmp_path / split).as_posix())}))'
        for split in ('train', 'test')))
    command = [tool, config, tmp_path / 'gone.pth', '--wrong-first',
               '--protocol', protocol, '--device', 'cpu', '--debug']
    monkeypatch.setattr(sys, 'argv', list(map(str, command)))
    with pytest.raises(ValueError, match=expected):
        runpy.run_path(str(tool), run_name='__main__')


@pytest.mark.parametrize('options, expected', [
    ('--num 0', '--num: 0 must be at least 1'),
    ('--protocol recall', "invalid choice: 'recall'"),
    ('--out rows.jpg', 'must end in .png or .pdf')])
def test_bad_options(tool, options, expected, monkeypatch, capsys):
    command = [str(tool), 'config.py', 'model.pth', *options.split()]
    monkeypatch.setattr(sys, 'argv', command)
    with pytest.raises(SystemExit):
        runpy.run_path(str(tool), run_name='__main__')
    assert expected in capsys.readouterr().err
