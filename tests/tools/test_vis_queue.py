import runpy
import sys

import pytest
import torch
from PIL import Image


@pytest.fixture
def run_tool(monkeypatch, capsys, repo_root, tmp_path):
    """Run the tool in this process, and give back what it printed."""

    def run(*args):
        tool = repo_root / 'tools/visualization/vis_queue.py'
        monkeypatch.setattr(
            sys, 'argv', [str(tool), *map(str, args), '--debug'])
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(tool), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_the_queue_of_a_training(run_tool, tiny_config, trained, tmp_path):
    printed = run_tool(tiny_config, trained.checkpoint, '--dpi', 40)
    out = f'work_dirs/{tiny_config.stem}/queue.png'
    assert printed.splitlines()[-1] == f'Wrote {out}'
    width, height = Image.open(tmp_path / out).size
    assert width > height > 300


def test_a_checkpoint_of_a_backbone(run_tool, tiny_config, tmp_path):
    torch.save(dict(state_dict=dict(x=torch.zeros(1))), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='trained without DDL'):
        run_tool(tiny_config, tmp_path / 'x.pth')
