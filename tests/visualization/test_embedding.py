import runpy

import numpy as np
import pytest
import torch
from mmpretrain.utils import dependency

from csd_mmpretrain.visualization import embedding
from csd_mmpretrain.visualization.embedding import make_embedder, separation
from csd_mmpretrain.visualization.embedding_figure import (
    _style,
    draw_embedding_figure,
)


def _clusters(classes=4, per_class=10, channels=16):
    random = np.random.RandomState(0)
    labels = np.repeat(np.arange(classes), per_class)
    centers = 10 * random.randn(classes, channels)
    features = centers[labels] + random.randn(len(labels), channels)
    return features.astype(np.float32), labels


@pytest.mark.parametrize('method, options', [
    ('tsne', {}),
    ('tsne', dict(perplexity=5, learning_rate=200., n_iter=300,
                  early_exaggeration=8., n_iter_without_progress=100,
                  init='random', n_components=3)),
    ('umap', dict(n_neighbors=5)),
])
def test_clusters_stay_apart_and_a_seed_repeats(method, options):
    if method == 'umap':
        pytest.importorskip('umap')
    else:
        pytest.importorskip('sklearn')
    features, labels = _clusters()
    points = make_embedder(40, method, 3, **options).fit_transform(features)
    assert points.shape == (40, options.get('n_components', 2))
    if options.get('init') != 'random':
        assert separation(points, labels)['1-NN'] == 1
    np.testing.assert_array_equal(
        points,
        make_embedder(40, method, 3, **options).fit_transform(features))


def test_the_default_perplexity_fits_few_images():
    points = make_embedder(4).fit_transform(_clusters(2, 2)[0])
    assert points.shape == (4, 2)


@pytest.mark.parametrize('classes, per_class', [(3, 7), (2, 2), (5, 1),
                                                (1, 6)])
def test_scores_equal_obvious_ones(classes, per_class):
    pytest.importorskip('sklearn')
    features, labels = _clusters(classes, per_class, 4)
    features += 8 * np.random.randn(*features.shape)
    n = len(features)
    far = [[float(np.linalg.norm(features[i] - features[j]))
            for j in range(n)] for i in range(n)]
    hits, widths = [], []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        nearest = min(others, key=lambda j: far[i][j])
        hits.append(labels[nearest] == labels[i])
        mean = {
            c: np.mean([far[i][j] for j in others if labels[j] == c] or [0])
            for c in range(classes)
        }
        own = mean.pop(labels[i])
        other = min(mean.values(), default=0)
        widths.append((other - own) / max(other, own) if per_class > 1
                      and mean else 0)
    scores = separation(features, labels)
    assert scores['1-NN'] == pytest.approx(np.mean(hits))
    if 2 <= classes < n:
        assert scores['silhouette'] == pytest.approx(np.mean(widths), 1e-4)
    else:
        assert scores['silhouette'] is None


@pytest.mark.parametrize('arguments, message', [
    (dict(perplexity=40), '--perplexity 40: with 40 images .* at most 39'),
    (dict(perplexity=0), '--perplexity 0'),
    (dict(method='umap', n_neighbors=40), '--n-neighbors 40.*at most 39'),
])
def test_errors(arguments, message):
    pytest.importorskip('sklearn')
    with pytest.raises(ValueError, match=message):
        make_embedder(40, **arguments)
    with pytest.raises(ValueError, match='3 images are too few'):
        make_embedder(3)


@pytest.mark.parametrize('method, extra', [('umap', 'umap'),
                                           ('tsne', 'vis')])
def test_an_absent_package_names_the_extra(monkeypatch, method, extra):
    monkeypatch.setattr(dependency, 'satisfy_requirement', lambda _: False)
    fresh = runpy.run_path(embedding.__file__)
    with pytest.raises(ImportError, match=rf'csd_mmpretrain\[{extra}\]'):
        fresh['make_embedder'](40, method)


@pytest.mark.parametrize('classes', [1, 6, 20, 21, 81])
@pytest.mark.parametrize('panels', [1, 2])
def test_the_legend_is_inside_the_figure_and_off_the_points(classes, panels):
    labels = torch.arange(3 * classes).remainder(classes).tolist()
    points = np.random.randn(len(labels), 2)
    names = {i: 'Name-of-' + 'a' * (i % 17) + 'Class' for i in range(classes)}
    title = 'before training: t-SNE\n1-NN 95.1%, silhouette -0.21 in the ' \
            '1280-d unit features of the pre_logits'
    figure = draw_embedding_figure([(title, points)] * panels, labels, names)
    figure.draw_without_rendering()
    legend, = figure.legends
    assert len(legend.get_texts()) == classes
    boxes = [legend.get_window_extent()]
    boxes += [ax.get_tightbbox() for ax in figure.axes]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
    assert all(boxes[0].x0 >= ax.bbox.x1 for ax in figure.axes)
    assert len(figure.axes[0].texts) == (classes if classes > 20 else 0)


def test_styles_differ():
    assert len({tuple(_style(i).values()) for i in range(90)}) == 90


def test_no_legend():
    figure = draw_embedding_figure([('', np.zeros((3, 2)))], [0, 0, 1],
                                   {0: 'a', 1: 'b'}, legend=False)
    assert not figure.legends
