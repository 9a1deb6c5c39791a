"""The linear probe against scikit-learn's logistic regression."""
import numpy as np
import pytest
import torch

from csd_mmpretrain.evaluation.features import LabelledFeatures
from csd_mmpretrain.evaluation.linear_probe import (
    PENALTIES,
    _fit_path,
    _folds,
    _logits,
    linear_probe,
)


def blobs(num, classes=5, noise=0.8):
    generator = torch.Generator().manual_seed(num)
    labels = torch.arange(num) % classes
    centers = torch.eye(classes, 12) * 2
    return LabelledFeatures(
        centers[labels] + noise * torch.randn(num, 12, generator=generator),
        labels)


@pytest.mark.parametrize('penalty', [1e-1, 1e-3])
def test_equals_scikit_learn(penalty):
    linear_model = pytest.importorskip('sklearn.linear_model')
    features, labels = blobs(61)
    expected = linear_model.LogisticRegression(
        C=1 / (penalty * len(labels)), tol=1e-8, max_iter=2000).fit(
            features.double().numpy(), labels.numpy())
    *_, weights = _fit_path(features, labels, [1., penalty])
    found = _logits(features, weights).softmax(1).numpy()
    np.testing.assert_allclose(
        found, expected.predict_proba(features.numpy()), atol=2e-3)


def test_chooses_by_the_training_images_alone():
    train, test = blobs(100), blobs(73)
    found = linear_probe(train, test)
    other = linear_probe(train, test._replace(labels=test.labels.flip(0)))
    assert found.penalty == other.penalty
    assert found.top1 > 0.7 > 0.4 > other.top1 and found.top5 == 1


def test_of_equally_good_penalties_the_strongest():
    features = blobs(60, noise=0.1)
    assert linear_probe(features, features) == (1, 1, max(PENALTIES))


def test_classes_with_one_image_and_missing_ones():
    train, test = blobs(5), blobs(20)
    found = linear_probe(*(x._replace(labels=x.labels + 3)
                           for x in (train, test)))
    assert 0 < found.top1 < 1 and found.penalty == 1e-4
    train = LabelledFeatures(*(values[:4] for values in train))
    assert linear_probe(train, test).top5 == 0.8


def test_folds_are_stratified():
    labels = torch.tensor([0, 1, 0, 2, 0, 1, 0, 0])
    assert _folds(labels).tolist() == [0, 0, 1, -1, 2, 1, 0, 1]
