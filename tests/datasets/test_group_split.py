"""Divisions that keep groups together."""
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csd_mmpretrain.datasets.group_split import (
    count_groups,
    divide,
    group_folds,
)

pytest.importorskip('sklearn')


@st.composite
def images(draw, mixed=True):
    """Labels and groups of images; some groups have several classes."""
    labels, groups = [], []
    for number in range(draw(st.integers(1, 25))):
        label = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(1, 6))):
            if mixed and draw(st.integers(0, 9)) == 0:
                label = draw(st.integers(0, 3))
            labels.append(label)
            groups.append(f'plant {number}')
    return labels, groups


def split_or_skip(function, *args):
    try:
        return function(*args)
    except ValueError as error:
        assert 'need at least' in str(error)
        return None


@settings(deadline=None, max_examples=60)
@given(images(), st.integers(2, 5), st.integers(0, 3))
def test_no_group_is_in_two_folds(found, num, seed):
    labels, groups = found
    folds = split_or_skip(group_folds, labels, groups, num, seed)
    if folds is None:
        return
    of_group = {}
    for group, fold in zip(groups, folds):
        assert of_group.setdefault(group, fold) == fold
    assert {*folds} - {-1} <= {*range(num)}
    for label, count in enumerate(count_groups(labels, groups)):
        if count == 1:  # would be tested without having been trained on
            assert {folds[i] for i, x in enumerate(labels) if x == label
                    } == {-1}


@settings(deadline=None, max_examples=60)
@given(images(), st.integers(3, 5), st.integers(0, 3))
def test_no_group_is_in_two_splits(found, parts, seed):
    labels, groups = found
    splits = split_or_skip(divide, labels, groups, parts, seed)
    if splits is None:
        return
    of_group = {}
    for group, split in zip(groups, splits):
        assert of_group.setdefault(group, split) == split
    trained = {label for label, split in zip(labels, splits)
               if split == 'train'}
    assert trained == set(labels)
    assert split_or_skip(divide, labels, groups, parts, seed) == splits


@pytest.mark.parametrize('per_group', [1, 3])
def test_classes_are_spread_evenly(per_group):
    """Like a count by hand: a fifth of each class is tested."""
    labels = np.repeat(np.arange(4), 60)
    groups = np.arange(240) // per_group
    splits = divide(labels, groups)
    assert Counter(zip(labels.tolist(), splits)) == {
        (label, split): count for label in range(4)
        for split, count in (('train', 36), ('val', 12), ('test', 12))}
    others = divide(labels, groups, seed=1)
    assert others != splits


def test_too_few_groups():
    with pytest.raises(ValueError, match='there are 2 groups, and at most 6'):
        divide([0] * 6, [1, 1, 1, 2, 2, 2], 3)
    with pytest.raises(ValueError, match='at most 2 images of a class'):
        divide([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5], 3)
    with pytest.raises(ValueError, match='there are 0 groups'):
        divide([0, 1], ['a', 'b'], 3)
