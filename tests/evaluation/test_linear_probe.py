"""The linear probe against scikit-learn's logistic regression."""
import numpy as np
import pytest
import torch

from csd_mmpretrain.evaluation.linear_probe import (
    PENALTIES,
    _folds,
    fit_path,
    linear_probe,
    scores,
)


def blobs(num, classes=5, noise=0.8):
    generator = torch.Generator().manual_seed(num)
    labels = torch.arange(num) % classes
    centres = torch.eye(classes, 12) * 2
    return centres[labels] + noise * torch.randn(
        num, 12, generator=generator), labels


@pytest.mark.parametrize('penalty', [1e-1, 1e-3])
def test_equals_scikit_learn(penalty):
    linear_model = pytest.importorskip('sklearn.linear_model')
    features, labels = blobs(61)
    expected = linear_model.LogisticRegression(
        C=1 / (penalty * len(labels)), tol=1e-8, max_iter=2000).fit(
            features.double().numpy(), labels.numpy())
    *_, weights = fit_path(features, labels, 5, [1., penalty])
    found = scores(features, weights).softmax(1).numpy()
    np.testing.assert_allclose(
        found, expected.predict_proba(features.numpy()), atol=2e-3)


def test_chooses_by_the_training_images_alone():
    features, labels = blobs(100)
    test, test_labels = blobs(73)
    found = linear_probe(features, labels, test, test_labels)
    other = linear_probe(features, labels, test, test_labels.flip(0))
    assert found.penalty == other.penalty
    assert found.top1 > 0.7 > 0.4 > other.top1 and found.top5 == 1


def test_of_equally_good_penalties_the_strongest():
    features, labels = blobs(60, noise=0.1)
    found = linear_probe(features, labels, features, labels)
    assert found == (1, 1, max(PENALTIES))


def test_classes_with_one_image_and_missing_ones():
    features, labels = blobs(5)
    test, test_labels = blobs(20)
    found = linear_probe(features, labels + 3, test, test_labels + 3)
    assert 0 < found.top1 < 1 and found.penalty == 1e-4
    found = linear_probe(features[:4], labels[:4], test, test_labels)
    assert found.top5 == 0.8


def test_folds_are_stratified():
    labels = torch.tensor([0, 1, 0, 2, 0, 1, 0, 0])
    assert _folds(labels).tolist() == [0, 0, 1, -1, 2, 1, 0, 1]
