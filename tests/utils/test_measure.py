import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from csd_mmpretrain.utils.measure import in_process


def test_a_process_that_dies_is_an_error_and_no_wait():
    with pytest.raises(BrokenProcessPool):
        in_process(os._exit, 1)
