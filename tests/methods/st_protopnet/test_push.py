"""The push against the published numbers and a loop."""
import pytest
import torch
from prototype_oracles import tensors
from torch.testing import assert_close

from csd_mmpretrain.methods.st_protopnet.push import (
    best_patches,
    own_cells,
)

CLASSES = 4


def published(oracle, name):
    """The published push without class 1, which has no image there."""
    numbers = tensors(oracle('st_protopnet/push'))
    present = torch.tensor([0, 2, 3])
    rename = torch.full((CLASSES, ), -1)
    rename[present] = torch.arange(3)
    kept = torch.cat([torch.arange(2) + 2 * c for c in present])
    return (numbers[f'{name}_map_features'], rename[numbers['labels']],
            *(numbers[f'{name}_{key}'][kept] for key in (
                'prototypes_before', 'prototypes_pushed', 'image',
                'position_yx', 'cosine')))


@pytest.mark.parametrize('name', ['trivial', 'support'])
def test_the_push_is_the_published_one(oracle, name):
    maps, labels, before, pushed, image, position, cosine = published(
        oracle, name)
    found = best_patches(own_cells(maps, before, labels, 3), labels, 3)
    assert torch.equal(found.image, image)
    assert torch.equal(found.position, position)
    assert_close(found.cosine.double(), cosine, rtol=1e-5, atol=1e-6)
    assert_close(found.vector, pushed, rtol=1e-5, atol=1e-6)


def test_a_second_push_changes_nothing(oracle):
    maps, labels, before, *_ = published(oracle, 'trivial')
    first = best_patches(own_cells(maps, before, labels, 3), labels, 3)
    second = best_patches(own_cells(maps, first.vector, labels, 3), labels, 3)
    for old, new in zip(first[::2], second[::2]):
        assert torch.equal(old, new)
    assert torch.equal(first.vector, second.vector)
    assert_close(second.cosine, torch.ones(6))


def test_equal_images_and_cells_give_the_first():
    maps = torch.ones(4, 3, 2, 2)
    labels = torch.tensor([1, 0, 1, 0])
    found = best_patches(own_cells(maps, torch.rand(4, 3), labels, 2),
                         labels, 2)
    assert found.image.tolist() == [1, 1, 0, 0]
    assert not found.position.any()


def test_a_class_without_images_is_refused(oracle):
    numbers = tensors(oracle('st_protopnet/push'))
    labels = numbers['labels']
    cells = own_cells(numbers['trivial_map_features'],
                      numbers['trivial_prototypes_before'], labels, CLASSES)
    with pytest.raises(ValueError, match=r'1 of 4 classes have no training '
                       r'image \(1; counted from 0\)'):
        best_patches(cells, labels, CLASSES)
