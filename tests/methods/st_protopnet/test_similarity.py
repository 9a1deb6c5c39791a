"""Similarities against the expanded tensor that they avoid."""
import torch
from torch.testing import assert_close

from csd_mmpretrain.methods.st_protopnet.similarity import (
    cosine_map,
    projection_map,
    strongest,
)


def test_maps_are_those_of_all_pairs():
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    prototypes = torch.randn(7, 5, dtype=torch.float64)
    pairs = (features[:, None] * prototypes[:, :, None, None]).sum(2)
    projection = pairs / prototypes.norm(dim=1)[:, None, None]
    cosine = projection / features.norm(dim=1, keepdim=True)
    assert_close(projection_map(features, prototypes), projection)
    assert_close(cosine_map(features, prototypes), cosine)
    assert_close(strongest(cosine), cosine.amax((2, 3)))


def test_empty_features_have_finite_gradients():
    features = torch.zeros(1, 5, 2, 2, requires_grad=True)
    cosine_map(features, torch.ones(3, 5)).sum().backward()
    assert features.grad.abs().max() < 1e4
