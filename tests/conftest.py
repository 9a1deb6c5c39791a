"""Fixtures shared by the tests."""
import gc
import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
# The checkout comes first, here and in the programs that tests start.
sys.path.insert(0, str(REPO))
os.environ['PYTHONPATH'] = os.pathsep.join(
    [str(REPO), *filter(None, [os.environ.get('PYTHONPATH')])])
os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import quick_mmengine  # noqa: E402, F401
import torch  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402

torch.set_num_threads(1)
pytest_plugins = ['tool_fixtures']


def pytest_collection_finish():
    """Datasets collect garbage: not among all that was imported."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """Print what tests have measured with `record_property`."""
    measured = [
        value for report in terminalreporter.getreports('passed')
        for name, value in report.user_properties if name == 'measured'
    ]
    if measured:
        terminalreporter.section('largest differences')
        terminalreporter.write_line('\n'.join(sorted(measured)))


def pytest_collection_modifyitems(items):
    """Skip the tests that need a GPU where there is none."""
    for item in items:
        if item.get_closest_marker('gpu') and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason='needs a GPU'))


@pytest.fixture(autouse=True)
def seed():
    """Every test draws the same numbers, in any order of the tests."""
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def default_scope():
    """The scope that a test's runner sets ends with the test."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture(scope='session')
def repo_root():
    """The checkout."""
    return REPO


@pytest.fixture(scope='session')
def shared_dir(repo_root):
    """Real lists, photos and weights beside the checkout, where there are."""
    path = Path(os.environ.get('CSD_SHARED', repo_root.parent / 'shared'))
    if not path.is_dir():
        pytest.skip(f'{path} is not there (CSD_SHARED names another folder)')
    return path


@pytest.fixture(scope='session')
def grocery_root(shared_dir):
    """The real photos of grocery81."""
    path = shared_dir / 'data' / 'grocery81'
    if not path.is_dir():
        pytest.skip(f'{path} is not there')
    return path


@pytest.fixture(scope='session')
def oracle(repo_root):
    """Small inputs and what they must give, by method and name."""

    def load(name):
        with np.load(repo_root / 'tests/data/oracles' / f'{name}.npz') as file:
            return dict(file)

    return load
