"""Targets and swapped prediction against the reference's numbers."""
import pytest
import torch

from csd_mmpretrain.layers.sinkhorn import sinkhorn
from csd_mmpretrain.methods.crkd.class_relation_kd import class_relation_kd
from csd_mmpretrain.methods.crkd.swapped_prediction import (
    swapped_prediction,
    view_targets,
)


@pytest.mark.parametrize('name', ['objective', 'objective_multi_crop'])
def test_objective_equals_the_reference(oracle, name):
    found = {key: torch.as_tensor(value)
             for key, value in oracle(f'cr_kd/{name}').items()}
    known = found['known_logits'].requires_grad_()
    novel = found['novel_logits'].requires_grad_()
    large = int(found['num_large_crops'])
    hidden = (found['labels'] < 0).nonzero()[:, 0]
    logits = torch.cat(
        [known[:, None].expand(-1, novel.size(1), -1, -1), novel], -1)
    targets = view_targets(novel[:large], found['labels'], known.size(-1),
                           hidden)
    assert not targets.requires_grad
    torch.testing.assert_close(targets, found['targets'][:large], rtol=1e-9,
                               atol=1e-15)
    by_head = swapped_prediction(logits, targets, .1)
    torch.testing.assert_close(by_head, found['loss_cluster_per_head'],
                               rtol=1e-9, atol=0)
    torch.testing.assert_close(by_head.mean(), found['loss_cluster'],
                               rtol=1e-9, atol=0)
    kd = 16 * class_relation_kd(found['old_known_logits'][:large, hidden],
                                logits[:large][:, :, hidden], .4)
    total = by_head.mean() + found['alpha'] * kd
    torch.testing.assert_close(total, found['total'], rtol=1e-9, atol=0)
    total.backward()
    for logits, grad in ((known, 'grad_known'), (novel, 'grad_novel')):
        torch.testing.assert_close(logits.grad, found[grad], rtol=1e-9,
                                   atol=1e-12)


@pytest.mark.parametrize('views, large, heads, photos', [
    (2, 2, 1, 1), (3, 2, 2, 5), (4, 1, 3, 4)])
def test_equals_loops(views, large, heads, photos):
    logits = torch.randn(views, heads, photos, 6, dtype=torch.float64)
    labels = torch.arange(photos) % 2
    hidden = torch.arange(photos)[::2]
    targets = view_targets(logits[:large, ..., 2:], labels, 2, hidden, .1, 5)
    for v in range(large):
        for h in range(heads):
            rows = sinkhorn(logits[v, h, hidden, 2:], .1, 5)
            for b in range(photos):
                expected = logits.new_zeros(6)
                if b % 2 == 0:
                    expected[2:] = rows[b // 2]
                else:
                    expected[labels[b]] = 1
                torch.testing.assert_close(targets[v, h, b], expected)
    for h, found in enumerate(swapped_prediction(logits, targets, .3)):
        terms = [
            -(targets[q, h, b] * (logits[v, h, b] / .3).log_softmax(0)).sum()
            for q in range(large) for v in range(views) if v != q
            for b in range(photos)]
        torch.testing.assert_close(found, torch.stack(terms).mean())


def test_labels_of_unlabelled_photos_are_not_read():
    novel = torch.randn(2, 2, 6, 3)
    labels, hidden = torch.arange(6) % 2, torch.tensor([1, 2, 5])
    other = labels.clone()
    other[hidden] = torch.tensor([-1, 99, 1])
    assert torch.equal(view_targets(novel, labels, 2, hidden),
                       view_targets(novel, other, 2, hidden))
    assert other[hidden].tolist() == [-1, 99, 1]
