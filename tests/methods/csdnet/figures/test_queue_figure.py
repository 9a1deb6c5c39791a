import numpy as np
import pytest
import torch
from mmengine.config import Config

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.methods.csdnet.figures import queue_figure
from csd_mmpretrain.methods.csdnet.figures.queue_figure import (
    QueueContents,
    _cosine_histogram,
    _nearest_classes,
    draw_queue_figure,
    read_queue,
)

HEAD = dict(
    type='CSDHead',
    cls_head=dict(type='LinearClsHead', num_classes=3, in_channels=1280),
    contrast=dict(type='DDLQueueLoss', feat_dim=1280, queue_len=7, margin=0.3))


def make_config(head=HEAD):
    return Config(dict(model=dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV2', widen_factor=0.25),
        neck=dict(type='GlobalAveragePooling'),
        head=head)))


def make_queue(counts, channels=8, length=None):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    features = torch.nn.functional.normalize(
        torch.randn(len(labels), channels), dim=1)
    return QueueContents(features, labels, length or len(labels), 0.25, None)


@pytest.fixture
def save(tmp_path):
    """Save a checkpoint whose queue got so many features."""

    def save(entered, cfg=None, slot='contrast'):
        model = build_bare_model(cfg or make_config())
        features = torch.nn.functional.normalize(torch.randn(20, 1280), dim=1)
        if entered:
            model.head.contrast.queue.enqueue(features[:entered],
                                              torch.arange(entered) % 3)
        path = tmp_path / 'epoch_1.pth'
        state = {name.replace('contrast', slot): value
                 for name, value in model.state_dict().items()}
        torch.save(dict(state_dict=state,
                        meta=dict(dataset_meta=dict(classes=list('abc')))),
                   path)
        return str(path), features

    return save


@pytest.mark.parametrize('entered, slot', [
    (2, 'contrast'), (6, 'contrast'), (7, 'contrast'), (9, 'contrast'),
    (20, 'ddl')])  # 'ddl' in older checkpoints
def test_keys_are_in_order_of_class_then_age(save, entered, slot):
    path, features = save(entered, slot=slot)
    queue = read_queue(make_config(), path)
    kept = range(max(0, entered - 7), entered)
    order = sorted(kept, key=lambda i: (i % 3, i))
    assert queue.labels.tolist() == [i % 3 for i in order]
    assert torch.equal(queue.features, features[order])
    assert queue.length == 7 and queue.margin == 0.3
    assert queue.classes == list('abc')


@pytest.mark.parametrize('counts, block', [([1, 1], 512), ([3, 0, 5], 3),
                                           ([17, 1, 15], 7), ([4], 512)])
def test_histograms_count_each_pair_once(counts, block, monkeypatch):
    monkeypatch.setattr(queue_figure, 'BLOCK', block)
    queue = make_queue(counts)
    positives, negatives = [], []
    for i in range(len(queue.labels)):
        for j in range(i):
            same = queue.labels[i] == queue.labels[j]
            (positives if same else negatives).append(
                float(queue.features[i] @ queue.features[j]))
    edges = np.linspace(-1, 1, 9)
    *found, above = _cosine_histogram(queue, edges)
    for counted, cosines in zip(found, (positives, negatives)):
        np.testing.assert_array_equal(counted,
                                      np.histogram(cosines, edges)[0])
    assert above == sum(cosine > 0.25 for cosine in negatives)


@pytest.mark.parametrize('counts, num', [([3, 0, 5, 1], 10), ([2] * 9, 4),
                                         ([4], 3)])
def test_nearest_classes(counts, num):
    queue = make_queue(counts)
    means = {}
    for a in set(queue.labels.tolist()):
        for b in set(queue.labels.tolist()):
            if a < b:
                means[a, b] = (queue.features[queue.labels == a]
                               @ queue.features[queue.labels == b].t()
                               ).mean().item()
    expected = sorted(means, key=means.get, reverse=True)[:num]
    found = _nearest_classes(queue, num)
    assert [pair[1:] for pair in found] == expected
    assert [pair[0] for pair in found] == pytest.approx(
        [means[pair] for pair in expected], abs=1e-6)


@pytest.mark.parametrize('case, message', [
    ('no file', 'There is no checkpoint'),
    ('empty', '0 of 7 places filled'),
    ('one', '1 of 7 places filled'),
    ('no ddl in config', 'no DDLQueueLoss.*grocery81'),
    ('no queue in checkpoint', 'has no queue: it was trained without DDL'),
])
def test_errors(case, message, save, tmp_path):
    cfg, path = make_config(), str(tmp_path / 'gone.pth')
    bare = make_config(dict(HEAD, contrast=None))
    if case in ('empty', 'one', 'no ddl in config'):
        path, _ = save(int(case == 'one'))
    if case == 'no ddl in config':
        cfg = bare
    if case == 'no queue in checkpoint':
        path, _ = save(0, bare)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        read_queue(cfg, path)


@pytest.mark.parametrize('counts', [[2, 3], [3] * 20, [2] * 81, [1] * 200,
                                    [1300] * 2])
def test_names_do_not_overlap_and_lie_inside(counts):
    figure = draw_queue_figure(
        make_queue(counts)._replace(
            classes=[f'a long name of class {i:03}' * (1 + i % 2)
                     for i in range(len(counts))]), 'queue of epoch_1.pth')
    figure.draw_without_rendering()
    labels = [label.get_window_extent()
              for label in figure.axes[0].get_yticklabels()]
    assert len(labels) >= min(len(counts), 80)
    for above, below in zip(labels, labels[1:]):
        assert above.y0 > below.y0 and above.y0 >= below.y1 - 2
    assert min(label.x0 for label in labels) >= 0
    texts = [text.get_window_extent() for text in figure.axes[2].texts]
    assert max([text.x1 for text in texts] or [0]) <= figure.bbox.x1
