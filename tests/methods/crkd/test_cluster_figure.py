"""Clusters, their surest photos and related classes, and their figure."""
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from csd_mmpretrain.methods.crkd.cluster_figure import (
    describe_cluster,
    draw_clusters,
    find_clusters,
)
from csd_mmpretrain.methods.crkd.ncd_head import NCDHead
from csd_mmpretrain.methods.crkd.unlabelled_photos import UnlabelledPhotos


@pytest.fixture
def head():
    return NCDHead(4, 6, num_novel=3, hidden_channels=8, embed_dims=5).eval()


@pytest.fixture
def photos(tmp_path):
    features = torch.randn(10, 6)
    for i in range(10):
        Image.new('RGB', (12, 8), (10 * i, 0, 0)).save(tmp_path / f'{i}.png')
    return UnlabelledPhotos(
        features, [str(tmp_path / f'{i}.png') for i in range(10)],
        torch.arange(10) % 2, ('plum', 'fig'), ('a', 'b', 'c', 'd'))


def test_clusters_equal_loops(head, photos):
    logits = head((photos.features, ))
    score = logits[:, 4:].softmax(1)
    relation = logits[:, :4].softmax(1)
    clusters = find_clusters(head, photos.features, photos.labels)
    assert sorted(i for c in clusters for i in c.photos) == list(range(10))
    for cluster in clusters:
        own = [i for i in range(10)
               if int(score[i].argmax()) == cluster.number]
        own.sort(key=lambda i: -score[i].max())
        assert own == cluster.photos.tolist()
        mean = relation[own].mean(0)
        assert [label for label, _ in cluster.related] == (
            mean.argsort(descending=True)[:3].tolist())
        labels = photos.labels[own].tolist()
        assert cluster.purity == pytest.approx(
            labels.count(cluster.majority) / len(own))
        assert labels.count(cluster.majority) >= len(own) / 2


def test_a_line_and_a_row_of_each_cluster(head, photos):
    clusters = find_clusters(head, photos.features, photos.labels)
    figure = draw_clusters(clusters, photos, 2)
    shown = [int(axes.images[0].get_array()[0, 0, 0]) // 10
             for axes in figure.axes if axes.images]
    assert shown == [i for c in clusters for i in c.photos[:2]]
    texts = [text.get_text() for text in figure.findobj(Text)]
    right = sum(photos.labels[i] == c.majority
                for c in clusters for i in c.photos[:2])
    assert texts.count('✓') == right
    assert texts.count('✗') == len(shown) - right
    line = describe_cluster(clusters[0], photos)
    assert line.startswith(
        f'novel-{clusters[0].number}: {len(clusters[0].photos)} photos, ')
    assert '% plum; like ' in line or '% fig; like ' in line


def test_without_labels_nothing_is_right_or_wrong(head, photos):
    photos = photos._replace(labels=None, novel_classes=())
    clusters = find_clusters(head, photos.features)
    texts = [text.get_text() for text in draw_clusters(
        clusters, photos, 2).findobj(Text)]
    assert not {'✓', '✗'} & set(texts)
    assert ' photos; like ' in describe_cluster(clusters[0], photos)
