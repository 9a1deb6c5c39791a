"""Configs as the tools read them."""
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
