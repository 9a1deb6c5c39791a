"""A checkpoint of stage 1."""
import pytest
import torch
from discovery_models import HEAD, build


@pytest.fixture(scope='session')
def stage_one(tmp_path_factory):
    """A checkpoint of stage 1, with the names of its classes."""
    path = tmp_path_factory.mktemp('stage1') / 'stage1.pth'
    model = build(dict(type='ImageClassifier', head=HEAD))
    torch.save(dict(
        state_dict=model.float().state_dict(),
        meta=dict(dataset_meta=dict(classes=('a', 'b', 'c')))), path)
    return path
