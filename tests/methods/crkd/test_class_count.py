"""Numbers of novel classes, on clouds whose number is known."""
import numpy as np
import pytest

from csd_mmpretrain.methods.crkd.class_count import (
    best_numbers,
    count_scores,
    rehearse,
)

KNOWN, NOVEL, EACH = 6, 5, 12


@pytest.fixture(scope='module')
def clouds():
    random = np.random.default_rng(0)
    labels = np.arange(KNOWN + NOVEL).repeat(EACH)
    x = np.eye(20)[labels] + 0.05 * random.standard_normal((len(labels), 20))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.where(labels < KNOWN, labels, -1)


def test_the_true_number_is_best(clouds):
    candidates = [1, 3, NOVEL, 4 * NOVEL, 6 * NOVEL]
    scores = count_scores(*clouds, candidates, repeats=3)
    assert scores.shape == (3, 5)
    assert (scores[:, 2] == 1).all()
    assert (scores.max(1) == scores[:, 2]).all()
    assert (scores[:, 3:] < 1).all()
    assert best_numbers(scores, candidates).tolist() == [NOVEL] * 3
    np.testing.assert_array_equal(
        scores, count_scores(*clouds, candidates, repeats=3))


def test_a_rehearsal_finds_half_of_the_known_classes(clouds):
    found = rehearse(*clouds, repeats=3)
    assert found.true == 3 and len(found.estimates) == 3
    assert 2 <= np.median(found.estimates) <= 4


def test_of_equal_numbers_the_largest_is_chosen():
    scores = np.array([[1., 1, .5], [.2, .9, .9], [.3, .2, .1]])
    assert best_numbers(scores, [2, 4, 8]).tolist() == [4, 8, 2]


def test_more_clusters_than_photos_are_refused(clouds):
    with pytest.raises(ValueError, match='6 known classes and 200 novel'):
        count_scores(*clouds, [5, 200])


@pytest.mark.parametrize('labels, message', [
    (np.arange(24) % 3, '3 known classes and 0 unlabelled'),
    (np.full(24, -1), '0 known classes and 24 unlabelled')])
def test_labels_that_tell_no_number(labels, message):
    with pytest.raises(ValueError, match=message):
        count_scores(np.eye(24), labels, [2])


def test_one_known_class_is_no_rehearsal(clouds):
    with pytest.raises(ValueError, match='1 known classes: a rehearsal'):
        rehearse(clouds[0], np.where(clouds[1] > 0, -1, clouds[1]))
