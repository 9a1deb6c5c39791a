import numpy as np
import pytest

from csd_mmpretrain.methods.csdnet import ddl_benchmark
from csd_mmpretrain.methods.csdnet.ddl_benchmark import (
    DDLSetting,
    _inputs,
    _peak_memory,
    contenders,
    format_ddl_table,
)
from csd_mmpretrain.utils.measure import Cost, in_process


@pytest.mark.parametrize('options, message', [
    (['--queue-lens', 7, '--batch-size', 4], 'two views of a batch, 8'),
    (['--iters', 0], '--iters: 0 must be at least 1'),
])
def test_bad_options_are_named(run_python, repo_root, options, message):
    done = run_python(repo_root / 'tools/benchmark_ddl.py', *options,
                      fails=True)
    assert message in done.stdout


def test_the_peer_is_left_out_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(ddl_benchmark, 'find_spec', lambda name: None)
    assert 'CrossBatchMemory' not in contenders()


def test_each_contender_does_a_step_with_gradients():
    pytest.importorskip('pytorch_metric_learning')
    for name, contender in contenders().items():
        loss, views, labels = _inputs(DDLSetting(40, 4, 8))
        before = loss.queue.features.clone()
        contender(loss, views, labels)
        if name == 'two products':
            assert views.grad is None and before.equal(loss.queue.features)
        else:
            assert views.grad.abs().sum() > 0
            assert not before.equal(loss.queue.features)


def test_memory_growth_is_that_of_the_products():
    """128 anchors with 30000 keys of 16 channels: 14.6 MiB of cosines."""
    setting = DDLSetting(30000, channels=16)
    # In processes of their own: this one may have memory that it keeps.
    assert in_process(_peak_memory, setting, 'two products') > 10
    assert in_process(_peak_memory, setting, 'DDLQueueLoss') < 10


def test_ratios_are_against_the_products():
    cost = {
        'two products': Cost(np.array([1., 1.]), 4.),
        'DDLQueueLoss': Cost(np.array([1.2, 1.4]), 0.)
    }
    table = format_ddl_table({50: cost, 90: cost})
    assert table.splitlines()[1] == '| ---: | :--- | ---: | ---: | ---: |'
    assert '| 50 | DDLQueueLoss | 1300.0 | x 1.30 | 0 |' in table
