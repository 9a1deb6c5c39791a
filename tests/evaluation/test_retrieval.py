"""Retrieval against a loop over queries and ranks."""
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from csd_mmpretrain.evaluation import retrieval
from csd_mmpretrain.evaluation.features import LabelledFeatures
from csd_mmpretrain.evaluation.retrieval import (
    PROTOCOLS,
    evaluate_protocol,
    rank_positives,
    split_protocol,
)
from csd_mmpretrain.evaluation.similarity import BYTES_PER_PAIR, nearest


def reference(queries, query_labels, gallery, gallery_labels, own=None):
    """First rank, average precision and positives, one query at a time."""
    found = []
    for i, query in enumerate(queries.double()):
        items = []
        for j, item in enumerate(gallery.double()):
            if own is not None and own[i] == j:
                continue
            cosine = float(query @ item / (query.norm() * item.norm()))
            right = bool(query_labels[i] == gallery_labels[j])
            items.append((-round(cosine, 9), right))
        ranks = [r for r, (_, right) in enumerate(sorted(items), 1) if right]
        precisions = [n / rank for n, rank in enumerate(ranks, 1)]
        found.append((ranks[0] if ranks else 0,
                      sum(precisions) / len(ranks) if ranks else None,
                      len(ranks)))
    return found


def signs(num, channels=16):
    """Vectors of length 4: cosines are exact, and many are equal."""
    return torch.randint(0, 2, (num, channels)) * 2. - 1


def compare(found, expected):
    assert found.first.tolist() == [e[0] for e in expected]
    assert found.counts.tolist() == [e[2] for e in expected]
    for value, (_, precision, _) in zip(found.average_precision.tolist(),
                                        expected):
        if precision is None:
            assert value != value
        else:
            assert value == pytest.approx(precision, abs=1e-12)


@pytest.mark.parametrize('make', [torch.randn, signs])
@pytest.mark.parametrize('queries, gallery, classes', [
    (1, 1, 1), (1, 17, 3), (13, 29, 1), (31, 15, 4), (23, 40, 30)])
@pytest.mark.parametrize('block', [1, 7, 1000])
def test_equals_a_loop(make, queries, gallery, classes, block):
    memory = block * BYTES_PER_PAIR * gallery / 2**20
    x, y = make(queries, 16), make(gallery, 16)
    x_labels = torch.randint(0, classes, (queries, ))
    y_labels = torch.randint(0, classes, (gallery, ))
    found = rank_positives(x, x_labels, y, y_labels, memory=memory)
    compare(found, reference(x, x_labels, y, y_labels))

    own = torch.arange(gallery)
    found = rank_positives(y, y_labels, y, y_labels, own, memory)
    compare(found, reference(y, y_labels, y, y_labels, own))


def test_equal_features_are_worth_nothing():
    same = LabelledFeatures(torch.ones(10, 4), torch.arange(10) % 5)
    found = evaluate_protocol('train-gallery', same, same)
    assert found.recall == {1: 0, 5: 0}


def test_counts_queries_that_cannot_succeed():
    gallery = LabelledFeatures(torch.eye(3), torch.tensor([0, 1, 2]))
    query = gallery._replace(labels=torch.tensor([0, 1, 9]))
    found = evaluate_protocol('train-gallery', gallery, query)
    assert found == ({1: 1, 5: 1}, 1, 2, 1, 3)
    query = gallery._replace(labels=torch.full((3, ), 9))
    with pytest.raises(ValueError, match='None of the 3 queries has an image'):
        evaluate_protocol('train-gallery', gallery, query)


def test_the_matrix_of_all_pairs_is_never_made(monkeypatch):
    sizes = []

    def watched(*args):
        for rows, cosines in retrieval_blocks(*args):
            sizes.append(cosines.numel())
            yield rows, cosines

    retrieval_blocks = retrieval.similarity_blocks
    monkeypatch.setattr(retrieval, 'similarity_blocks', watched)
    labels = torch.randint(0, 5, (300, ))
    features = torch.randn(300, 8)
    rank_positives(features, labels, features, labels, memory=0.5)
    assert sum(sizes) == 300 * 300
    assert max(sizes) <= 0.5 * 2**20 / BYTES_PER_PAIR


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_protocols_equal_their_words(protocol):
    train, test = torch.randn(20, 8), torch.randn(23, 8)
    train_labels = torch.randint(0, 4, (20, ))
    test_labels = torch.randint(0, 4, (23, ))
    first, precision = [], []
    for i in range(23):
        if protocol == 'every-9th' and i not in (0, 9, 18):
            continue
        gallery, labels = [], []
        if protocol != 'leave-one-out':
            gallery += list(train)
            labels += train_labels.tolist()
        if protocol != 'train-gallery':
            for j in range(23):
                if i == j or protocol == 'every-9th' and j in (0, 9, 18):
                    continue
                gallery.append(test[j])
                labels.append(int(test_labels[j]))
        (rank, ap, _), = reference(test[i:i + 1], test_labels[i:i + 1],
                                   torch.stack(gallery), torch.tensor(labels))
        first.append(rank)
        precision.append(ap)
    found = evaluate_protocol(protocol, LabelledFeatures(train, train_labels),
                              LabelledFeatures(test, test_labels))
    assert found.queries == len(first) and not found.left_out
    assert found.gallery == len(gallery)
    assert found.recall[1] == pytest.approx(
        sum(r == 1 for r in first) / len(first))
    assert found.recall[5] == pytest.approx(
        sum(r <= 5 for r in first) / len(first))
    assert found.mean_ap == pytest.approx(sum(precision) / len(first))


def test_nearest_equals_a_sort():
    x, y = torch.randn(11, 5), torch.randn(14, 5)
    cosines = torch.nn.functional.cosine_similarity(x[:, None], y, dim=2)
    values, indices = nearest(x, y, 4, memory=3 * BYTES_PER_PAIR * 14 / 2**20)
    assert indices.tolist() == cosines.argsort(
        1, descending=True)[:, :4].tolist()
    torch.testing.assert_close(values, cosines.gather(1, indices))
    _, indices = nearest(y, y, 13, torch.arange(14))
    for i, row in enumerate(indices.tolist()):
        assert sorted([*row, i]) == list(range(14))


def test_errors():
    x, labels = torch.randn(3, 4), torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match="no retrieval protocol 'recall'"):
        split_protocol('recall', 3, 3)
    with pytest.raises(ValueError, match='leave nothing to look for'):
        split_protocol('leave-one-out', 3, 1)
    with pytest.raises(ValueError, match='leave nothing to look for'):
        split_protocol('train-gallery', 0, 3)
    with pytest.raises(ValueError, match='not finite'):
        rank_positives(x * torch.nan, labels, x, labels)
    with pytest.raises(ValueError, match='4 channels, but the gallery has 3'):
        rank_positives(x, labels, x[:, :3], labels)
    with pytest.raises(ValueError, match='one label each'):
        rank_positives(x, labels[:2], x, labels)
    with pytest.raises(ValueError, match='at least one feature'):
        rank_positives(x, labels, x[:0], labels[:0])


def test_recall_equals_the_reference(oracle):
    """The reference counts classes of one image as misses; we do not."""
    found = oracle('ecaml/recall_and_clustering')
    images = LabelledFeatures(*(
        torch.from_numpy(found[name]) for name in ('embedding', 'labels')))
    scores = evaluate_protocol('leave-one-out', images, images,
                               ranks=(1, 2, 4, 8))
    total = scores.queries + scores.left_out
    for k, value in scores.recall.items():
        assert value == pytest.approx(
            float(found[f'recall_at_{k}_without_singletons']), rel=1e-9)
        assert value * scores.queries / total == pytest.approx(
            float(found[f'recall_at_{k}']), rel=1e-9)


def marked(in_gallery):
    """A sample of class 0 or 1 by turns, as a model's `predict` gives it."""
    return [
        DataSample(feature=torch.randn(4), gt_label=torch.tensor([i % 2]),
                   metainfo=dict(sample_idx=i, **(
                       {} if flag is None else dict(in_gallery=flag))))
        for i, flag in enumerate(in_gallery)]


def test_query_gallery_takes_what_the_data_marks():
    samples = marked([True, False] * 7 + [True, True, False])
    evaluator = Evaluator(dict(type='RetrievalMetric',
                               protocol='query-gallery', ranks=(1, 3)))
    evaluator.process(samples)
    found = evaluator.evaluate(len(samples))
    parts = [[s for s in samples if s.in_gallery == flag]
             for flag in (True, False)]
    expected = evaluate_protocol('train-gallery', *(
        LabelledFeatures(torch.stack([s.feature for s in part]),
                         torch.cat([s.gt_label for s in part]))
        for part in parts), ranks=(1, 3))
    for k in (1, 3):
        assert found[f'retrieval/query-gallery/rank{k}'] == pytest.approx(
            100 * expected.recall[k])
    assert set(found) == {f'retrieval/query-gallery/{name}' for name in (
        'rank1', 'rank3', 'mAP', 'queries', 'left_out')}


@pytest.mark.parametrize('flag', [None, True])
def test_query_gallery_needs_both(flag):
    evaluator = Evaluator(
        dict(type='RetrievalMetric', protocol='query-gallery'))
    evaluator.process(marked([flag] * 4))
    with pytest.raises(ValueError, match='both are needed.*InShopRetrieval'):
        evaluator.evaluate(4)


def test_ranks_are_positive():
    with pytest.raises(ValueError, match=r'ranks=\(0, 1\), expected numbers'):
        Evaluator(dict(type='RetrievalMetric', protocol='leave-one-out',
                       ranks=(0, 1)))


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('channels', [3, 64, 1280])
def test_features_that_are_all_equal_find_nothing(protocol, channels):
    """Equal but for their length, and rounding."""
    torch.manual_seed(channels)
    feature = torch.rand(channels)
    train, test = (
        LabelledFeatures(feature * (1 + torch.rand(n, 1)), torch.arange(n) % 5)
        for n in (120, 60))
    assert evaluate_protocol(protocol, train, test).recall[1] == 0
