import numpy as np
import pytest
import torch

from csd_mmpretrain.methods.epic.purity import (
    channel_activation,
    mix_channels,
    peak_position,
    purity,
    top_prototypes,
)


def test_purity_of_the_published_code(oracle):
    known = oracle('epic/purity')
    maps = torch.from_numpy(known['feature_map']).requires_grad_()
    channel = torch.from_numpy(known['channel'])
    found = purity(maps, channel)
    found.sum().backward()
    np.testing.assert_allclose(found.detach(), known['purity'], rtol=1e-9)
    np.testing.assert_allclose(maps.grad, known['grad'], rtol=1e-9)
    assert (peak_position(maps, channel).numpy() == known['cell_yx']).all()


@pytest.mark.parametrize('name, key', [('prototypes', 'right'),
                                       ('prototypes_small_last_batch',
                                        'right')])
def test_prototypes_of_the_published_code(oracle, name, key):
    known = oracle(f'epic/{name}')
    activation = channel_activation(
        torch.from_numpy(known['feature_maps']), torch.from_numpy(known['U']))
    np.testing.assert_allclose(activation, known['activation'], rtol=1e-9)
    found = top_prototypes(activation, int(known['num_prototypes']))
    assert (found.numpy() == known[key]).all()


def test_a_single_active_channel_is_pure():
    maps = torch.zeros(5, 5, 3, 2)
    maps[range(5), range(5), 1, 1] = torch.rand(5) + 0.1
    assert purity(maps, torch.arange(5)).tolist() == [1] * 5
    others = torch.arange(5).roll(1)
    assert purity(maps, others).tolist() == [0] * 5
    assert purity(-maps - 1, torch.arange(5)).lt(0).all()


def test_mixing_and_activation_equal_loops():
    maps, matrix = torch.randn(3, 4, 2, 5), torch.randn(4, 4)
    mixed = mix_channels(maps, matrix)
    for image in range(3):
        for y in range(2):
            for x in range(5):
                torch.testing.assert_close(
                    mixed[image, :, y, x], matrix @ maps[image, :, y, x])
    torch.testing.assert_close(channel_activation(maps, matrix),
                               mixed.sum((2, 3)))


@pytest.mark.parametrize('images', [1, 2, 7, 16])
def test_top_prototypes_equal_a_sort(images):
    activation = torch.randint(-3, 4, (images, 5)).float()
    for num in range(1, images + 1):
        expected = [
            sorted(range(images), key=lambda i, k=k: (-activation[i, k], i)
                   )[:num] for k in range(5)
        ]
        assert top_prototypes(activation, num).tolist() == expected


@pytest.mark.parametrize('num, message', [(0, '0 prototypes'),
                                          (4, '4 prototypes .* 3 training')])
def test_impossible_numbers_are_refused(num, message):
    with pytest.raises(ValueError, match=message):
        top_prototypes(torch.rand(3, 2), num)


def test_a_matrix_of_another_size_is_refused():
    with pytest.raises(ValueError, match='for 3 channels.*maps have 4'):
        mix_channels(torch.rand(1, 4, 2, 2), torch.eye(3))
