"""The references' numbers as tensors."""
import pytest
import torch


@pytest.fixture
def reference(oracle):
    """The arrays of a file of DSeq-JEPA's and I-JEPA's code, by name."""
    return lambda name: {
        key: torch.from_numpy(value)
        for key, value in oracle(f'dseq_jepa/{name}').items()
    }
