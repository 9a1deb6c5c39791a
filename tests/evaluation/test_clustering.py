"""Clusters against classes: the reference's numbers and slow loops."""
import itertools
import time
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from csd_mmpretrain.evaluation import clustering
from csd_mmpretrain.evaluation.clustering import (
    assign_clusters,
    clustering_scores,
    discovery_scores,
    pair_scores,
)


def test_pairs_and_nmi_equal_the_reference(oracle):
    found = oracle('ecaml/recall_and_clustering')
    pairs = pair_scores(found['labels'], found['cluster'])
    for name, value in zip(
            ('pair_precision', 'pair_recall', 'f1', 'rand_index'), pairs):
        assert value == pytest.approx(float(found[name]), rel=1e-9)
    scores = clustering_scores(found['labels'], found['cluster'])
    assert scores.nmi == pytest.approx(float(found['nmi']), rel=1e-9)
    assert scores.f1 == pairs.f1


@pytest.mark.parametrize('name', ['hungarian', 'hungarian_merged',
                                  'hungarian_swapped_blocks'])
def test_assignments_equal_the_reference(oracle, name):
    found = oracle(f'cr_kd/{name}')
    labels, predictions = found['labels'], found['predictions']
    known = int(found['num_known'])

    def same(value, key):
        assert value == pytest.approx(float(found[key]), rel=1e-9, abs=1e-12)

    scores = discovery_scores(labels, predictions, known)
    for key in ('all', 'seen', 'novel'):
        same(getattr(scores, key), f'v2_{key}')
    same(scores.seen_plain, 'v1_seen')
    novel = labels >= known
    for prefix, keys, images in (
            ('v2_all', ('nmi', 'ari'), (labels, predictions)),
            ('v1_novel', ('accuracy', 'nmi', 'ari'),
             (labels[novel], predictions[novel])),
            ('aware_novel', ('accuracy', 'nmi', 'ari'),
             (found['aware_labels'] - known, found['aware_predictions']))):
        scores = clustering_scores(*images)
        for key in keys:
            suffix = '' if key == 'accuracy' else f'_{key}'
            same(getattr(scores, key), prefix + suffix)


@pytest.mark.parametrize('classes, clusters', [
    (1, 1), (2, 5), (5, 2), (4, 4), (6, 3)])
def test_assignment_equals_all_permutations(classes, clusters):
    for images in (1, 13, 40):
        labels = np.random.randint(0, classes, images)
        found = np.random.randint(0, clusters, images)
        best = max(
            (np.array(order)[found] == labels).mean()
            for order in itertools.permutations(range(max(classes, clusters))))
        scores = clustering_scores(labels, found)
        assert scores.accuracy == pytest.approx(best)
        renamed = np.random.permutation(clusters)[found]
        assert clustering_scores(labels, renamed) == pytest.approx(scores)
        same = [(labels[i] == labels[j], found[i] == found[j])
                for i in range(images) for j in range(i)]
        hits = sum(a and b for a, b in same)
        total = sum(int(a) + int(b) for a, b in same)
        assert scores.f1 == pytest.approx(2 * hits / total if total else 1)
    assert clustering_scores(labels, labels) == (1, 1, 1, 1)


def test_two_thousand_clusters_take_seconds():
    labels = np.random.randint(0, 2000, 20000)
    clusters = np.random.randint(0, 2000, 20000)
    start = time.perf_counter()
    assigned = assign_clusters(labels, clusters)
    assert time.perf_counter() - start < 20
    assert sorted(assigned) == list(range(2000))


def features(blobs, noise=0.1):
    centers = torch.eye(8)[:blobs]
    labels = torch.arange(blobs).repeat(5)
    return centers[labels] + noise * torch.randn(len(labels), 8), labels


def test_k_means_finds_well_separated_classes():
    x, labels = features(4)
    evaluator = Evaluator(dict(type='ClusteringMetric'))
    scale = 1 + torch.arange(len(x))  # lengths do not count
    evaluator.process([
        DataSample(feature=s * f, gt_label=y[None],
                   metainfo=dict(sample_idx=i))
        for i, (s, f, y) in enumerate(zip(scale, x, labels))])
    assert evaluator.evaluate(len(x)) == {
        f'clustering/{name}': pytest.approx(100)
        for name in ('accuracy', 'nmi', 'ari', 'f1')}


@pytest.mark.parametrize('mode', ['aware', 'agnostic'])
def test_predictions_of_known_and_novel_classes(mode):
    labels = np.random.randint(0, 5, 40)
    scores = torch.rand(40, 6)
    evaluator = Evaluator(
        dict(type='ClusterAccuracy', mode=mode, num_known=2))
    samples = [
        DataSample(pred_score=s, gt_label=torch.tensor([y]),
                   metainfo=dict(sample_idx=i))
        for i, (s, y) in enumerate(zip(scores, labels))]
    for part in (samples[:25], samples[25:], samples[:3]):  # repeated ones
        evaluator.process(part)
    found = evaluator.evaluate(43)
    if mode == 'agnostic':
        expected = discovery_scores(labels, scores.argmax(1).numpy(), 2)
        names = expected._fields
    else:
        novel = labels >= 2
        expected = clustering_scores(
            labels[novel] - 2, scores[novel, 2:].argmax(1).numpy())
        names = expected._fields
    for name in names:
        assert found[f'discovery/{mode}/{name}'] == pytest.approx(
            100 * getattr(expected, name))


def test_errors():
    with pytest.raises(ValueError, match='labels and .* clusters; expected'):
        clustering_scores(np.zeros(3, int), np.zeros(2, int))
    with pytest.raises(ValueError, match='at least one image'):
        pair_scores(np.zeros(0, int), np.zeros(0, int))
    with pytest.raises(ValueError, match="mode='both', expected 'aware' or"):
        Evaluator(dict(type='ClusterAccuracy', mode='both', num_known=2))
    metric = clustering.ClusteringMetric(num_clusters=4)
    with pytest.raises(ValueError, match='3 images for 4 clusters'):
        metric.check_sizes(0, 3)
    evaluator = Evaluator(
        dict(type='ClusterAccuracy', mode='aware', num_known=2))
    evaluator.process([DataSample(pred_score=torch.rand(3),
                                  gt_label=torch.tensor([1]),
                                  metainfo=dict(sample_idx=0))])
    with pytest.raises(ValueError, match='no image of a class from 2 on'):
        evaluator.evaluate(1)


@pytest.mark.parametrize('name, extra', [('clustering_scores', 'vis'),
                                         ('assign_clusters', 'bench')])
def test_a_missing_library_names_its_extra(name, extra):
    from mmpretrain.utils.dependency import require
    package = dict(vis='scikit-learn', bench='scipy')[extra]
    install = dict(vis=clustering.SKLEARN, bench=clustering.SCIPY)[extra]
    with patch('mmpretrain.utils.dependency.satisfy_requirement',
               lambda _: False):
        missing = require(package, install)(getattr(clustering, name))
    with patch.object(clustering, name, missing):
        with pytest.raises(ImportError, match=rf'{package}.*\[{extra}\]'):
            clustering.ClusteringMetric()
