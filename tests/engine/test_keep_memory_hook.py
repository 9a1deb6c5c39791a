"""Tests of KeepMemoryHook, in processes of their own."""
import subprocess
import sys

import pytest

COUNT = """
import resource
from types import SimpleNamespace
import torch
from csd_mmpretrain.engine.hooks.keep_memory_hook import (
    KeepMemoryHook, keep_freed_memory)
hook = KeepMemoryHook(enabled={enabled})
hook.before_run(SimpleNamespace(model=torch.nn.Linear(1, 1)))
for _ in range(3):
    torch.ones(2**24)  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(9):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(keep_freed_memory())
"""


def page_faults(enabled):
    done = subprocess.run(
        [sys.executable, '-c', COUNT.format(enabled=enabled)],
        capture_output=True,
        text=True,
        check=True)
    faults, can_keep = done.stdout.split()[-2:]
    if can_keep == 'False':
        pytest.skip('another C library')
    return int(faults)


def test_a_freed_block_is_used_again():
    assert 4 * page_faults(True) < page_faults(False)


def test_nothing_happens_with_another_c_library(monkeypatch):
    from csd_mmpretrain.engine.hooks import keep_memory_hook

    monkeypatch.setattr(keep_memory_hook.ctypes, 'CDLL', lambda name: object())
    assert not keep_memory_hook.keep_freed_memory()
