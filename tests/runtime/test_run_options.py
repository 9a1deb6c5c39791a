"""Configs as the tools read them."""
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.runner import Runner

from csd_mmpretrain.runtime.run_options import STOCK_HOOKS, load_config

CONFIG = str(Path(__file__).resolve().parents[2] /
             'configs/csdnet/grocery81.py')
NAMES = sorted({*load_config(CONFIG).default_hooks, *STOCK_HOOKS})


def registered(options):
    """Types of the hooks that mmengine registers."""
    hooks = []
    runner = SimpleNamespace(register_hook=hooks.append)
    cfg = load_config(CONFIG, options)
    Runner.register_default_hooks(runner, cfg.default_hooks)
    return {hook['type'] for hook in hooks}


@pytest.mark.parametrize('name', NAMES)
def test_every_hook_can_be_switched_off(name):
    everything = registered({})
    kept = registered({f'default_hooks.{name}': None})
    assert len(everything - kept) == 1 and kept < everything


def test_a_config_of_the_package_by_its_name():
    name = 'csd_mmpretrain::csdnet/grocery81.py'
    assert load_config(name).model == load_config(CONFIG).model
    with pytest.raises(FileNotFoundError, match='There is no config'):
        load_config('csd_mmpretrain::csdnet/nope.py')


def test_a_base_of_another_package(tmp_path):
    """It works, or the remedy is named; the scope that it adds is dropped."""
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'\n")
    if find_spec('pkg_resources') is None:
        with pytest.raises(ModuleNotFoundError, match='"setuptools<82"'):
            load_config(str(path))
    else:
        cfg = load_config(str(path))
        assert cfg.model.backbone.depth == 18
        assert '_scope_' not in cfg.pretty_text


def test_a_syntax_error_names_the_file(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text('model = dict(\n')
    with pytest.raises(SyntaxError, match=str(path)):
        load_config(str(path))
