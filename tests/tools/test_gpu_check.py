"""The check of a GPU, in its short form on a CPU."""
import importlib.util
from pathlib import Path

import pytest

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.runtime.run_options import load_config


@pytest.fixture(scope='module')
def tool(repo_root):
    spec = importlib.util.spec_from_file_location(
        'gpu_check_tool', repo_root / 'tools/gpu_check.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_part_of_the_short_form(run_python, repo_root, tmp_path):
    out = tmp_path / 'reports' / 'check.md'
    done = run_python(repo_root / 'tools/gpu_check.py', '--short', '--device',
                      'cpu', '--parts', 'images', '--out', out)
    report = out.read_text()
    assert report in done.stdout
    assert '| Images in the format of Cotton80 | ok |' in report
    assert '| torch |' in report


@pytest.mark.parametrize('short', [True, False])
@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_every_part_names_files_that_exist(tool, tmp_path, device, short):
    parts = tool.list_parts(tmp_path, device, short)
    assert len({part.title for part in parts}) == len(parts) == 8
    for part in parts:
        for path in map(str, part.command):
            assert Path(path).exists() or not path.endswith('.py')
        hidden = part.environment.get('CUDA_VISIBLE_DEVICES') == ''
        assert hidden == (device == 'cpu')


def test_small_models_build_from_the_options(tool):
    for config in tool.STEPS:
        options = dict(
            option.split('=') for option in tool.small_model(config))
        cfg = load_config(str(tool.CONFIGS / config), {
            key: int(value) if value.isdigit() else
            True if value == 'True' else value
            for key, value in options.items()})
        assert sum(p.numel() for p in build_bare_model(cfg).parameters()) < 4e7


def test_a_machine_without_a_gpu_is_told_of_the_short_form(run_python,
                                                           repo_root):
    done = run_python(repo_root / 'tools/gpu_check.py', '--device', 'cpu',
                      fails=True)
    assert 'Give --short' in done.stdout
