"""Tests of SSDTLoss against the sum over classes."""
import math

import pytest
import torch

from csd_mmpretrain.methods.csdnet.ssdt_loss import SSDTLoss


def slow_kl(teacher, student, tau):
    def softmax(z):
        e = [math.exp(v / tau) for v in z]
        return [v / sum(e) for v in e]

    t, s = softmax(teacher), softmax(student)
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(t, s))


@pytest.mark.parametrize('batch, classes', [(1, 2), (5, 17)])
@pytest.mark.parametrize('direction', ['mutual', 'aug2raw', 'raw2aug'])
def test_equals_the_sum_over_classes(batch, classes, direction):
    raw, aug = torch.randn(2, batch, classes, dtype=torch.double) * 3
    out = SSDTLoss(2., direction, loss_weight=0.3)(raw, aug)['loss_ssdt']
    to_raw = sum(slow_kl(a, r, 2.) for r, a in zip(raw.tolist(), aug.tolist()))
    to_aug = sum(slow_kl(r, a, 2.) for r, a in zip(raw.tolist(), aug.tolist()))
    expected = {
        'aug2raw': to_raw, 'raw2aug': to_aug, 'mutual': (to_raw + to_aug) / 2
    }[direction] * 4. / batch
    torch.testing.assert_close(
        out, torch.tensor(0.3 * expected), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('direction, taught', [('aug2raw', (True, False)),
                                               ('raw2aug', (False, True)),
                                               ('mutual', (True, True))])
def test_only_the_student_learns(direction, taught):
    logits = [torch.randn(3, 5, requires_grad=True) for _ in range(2)]
    SSDTLoss(direction=direction)(*logits)['loss_ssdt'].backward()
    got = tuple(
        z.grad is not None and bool(z.grad.abs().sum() > 0) for z in logits)
    assert got == taught


def test_equal_views_cost_nothing():
    logits = torch.randn(4, 7) * 100
    assert SSDTLoss()(logits, logits)['loss_ssdt'].abs() < 1e-6


@pytest.mark.parametrize('option, message', [
    (dict(temperature=0), 'temperature=0'),
    (dict(temperature=-1.), 'temperature=-1'),
    (dict(direction='both'), "direction='both'"),
])
def test_bad_options_are_named(option, message):
    with pytest.raises(ValueError, match=message):
        SSDTLoss(**option)
