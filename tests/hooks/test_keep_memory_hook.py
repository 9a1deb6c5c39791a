"""Tests of KeepMemoryHook; memory is counted in processes of their own."""
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from csd_mmpretrain.hooks.keep_memory_hook import KeepMemoryHook

COUNT = """
import resource
from types import SimpleNamespace
import torch
from csd_mmpretrain.hooks.keep_memory_hook import KeepMemoryHook
from csd_mmpretrain.runtime.kept_memory import keep_freed_memory
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


@pytest.mark.parametrize('persistent', [True, False])
def test_validation_workers_start_before_the_first_step(persistent):
    loader = DataLoader(range(7), batch_size=2, num_workers=2,
                        persistent_workers=persistent)
    runner = SimpleNamespace(model=torch.nn.Linear(1, 1), val_loop=object(),
                             val_dataloader=loader)
    state = torch.get_rng_state()
    KeepMemoryHook().before_train(runner)
    assert torch.equal(torch.get_rng_state(), state)
    assert (loader._iterator is not None) == persistent
    workers = loader._iterator and list(loader._iterator._workers)
    for _ in range(2):
        assert torch.equal(torch.cat(list(loader)), torch.arange(7))
    if persistent:
        assert list(loader._iterator._workers) == workers


@pytest.mark.parametrize('changes', [
    dict(val_loop=None),
    dict(model=torch.nn.Linear(1, 1, device='meta')),
])
def test_no_workers_without_a_validation_or_on_another_device(changes):
    loader = DataLoader(range(7), num_workers=1, persistent_workers=True)
    runner = dict(model=torch.nn.Linear(1, 1), val_loop=object(),
                  val_dataloader=loader)
    KeepMemoryHook().before_train(SimpleNamespace(**{**runner, **changes}))
    assert loader._iterator is None
