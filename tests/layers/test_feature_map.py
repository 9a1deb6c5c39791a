"""Tests of to_feature_map."""
import pytest
import torch

from csd_mmpretrain.layers.feature_map import to_feature_map, to_tokens


@pytest.mark.parametrize('h, w', [(1, 1), (3, 5), (7, 7)])
def test_maps_keep_every_value_in_its_place(h, w):
    x = torch.rand(2, 6, h, w)
    assert to_feature_map(x, 'nchw') is x
    nhwc = x.permute(0, 2, 3, 1).contiguous()
    out = to_feature_map(nhwc, 'nhwc')
    assert torch.equal(out, x)
    assert out.data_ptr() == nhwc.data_ptr()


@pytest.mark.parametrize('prefix', [0, 1, 2, 5])
@pytest.mark.parametrize('side', [1, 3, 14])
def test_tokens_drop_the_prefix_and_keep_row_order(prefix, side):
    tokens = torch.rand(2, prefix + side * side, 4)
    out = to_feature_map(tokens, 'tokens', prefix)
    assert out.shape == (2, 4, side, side)
    for i in range(side):
        for j in range(side):
            assert torch.equal(out[:, :, i, j], tokens[:,
                                                       prefix + i * side + j])


def test_pooled_output_names_the_backbone_option():
    with pytest.raises(ValueError, match="out_type='featmap'.*gap_before"):
        to_feature_map(torch.rand(2, 8))


def test_two_branches_are_refused():
    with pytest.raises(TypeError, match='one tensor'):
        to_feature_map([torch.rand(2, 8), torch.rand(2, 8)])


def test_wrong_prefix_names_the_number_that_fits():
    with pytest.raises(ValueError, match='num_prefix_tokens.*5 would fit'):
        to_feature_map(torch.rand(2, 201, 8), 'tokens', 1)
    with pytest.raises(ValueError, match='num_prefix_tokens'):
        to_feature_map(torch.rand(2, 4, 8), 'tokens', 5)


def test_an_oblong_image_is_not_told_to_count_its_class_token_as_a_patch():
    tokens = torch.rand(2, 1 + 14 * 16, 8)
    with pytest.raises(ValueError, match="not square.*'featmap'") as error:
        to_feature_map(tokens, 'tokens', 1)
    assert 'would fit' not in str(error.value)


def test_tokens_of_an_oblong_image():
    x = torch.rand(2, 1 + 3 * 5, 8)
    image, tokens = to_tokens(x, 'tokens', 1)
    assert torch.equal(image, x[:, 0]) and torch.equal(tokens, x[:, 1:])


@pytest.mark.parametrize('layout, shape', [('nchw', (2, 49, 8)),
                                           ('nhwc', (2, 49, 8)),
                                           ('tokens', (2, 8, 7, 7))])
def test_wrong_layout_is_named(layout, shape):
    with pytest.raises(ValueError, match='layout'):
        to_feature_map(torch.rand(shape), layout)
