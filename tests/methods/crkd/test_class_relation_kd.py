"""The class relation against the reference's numbers."""
import pytest
import torch
from ranks import run_ranks

from csd_mmpretrain.methods.crkd.class_relation_kd import (
    class_relation_kd,
    known_mass,
)


def tensors(found):
    return {name: torch.as_tensor(value) for name, value in found.items()}


@pytest.mark.parametrize('name', ['', '_one_image', '_all_labelled'])
def test_equals_the_reference(oracle, name):
    found = tensors(oracle(f'cr_kd/class_relation_kd{name}'))
    soft = float(found['tau'] * found['kd_temperature'])
    hidden = ~found['labelled']
    student = found['new_logits'].requires_grad_()
    own = student[:, :, hidden]
    loss = found['kd_temperature']**2 * class_relation_kd(
        found['old_logits'][:, hidden], own, soft)
    loss.backward()
    # Without an unlabelled photo the reference gives nan; 0 is right.
    torch.testing.assert_close(loss, found['loss'].nan_to_num(), rtol=1e-9,
                               atol=0)
    torch.testing.assert_close(student.grad, found['grad'].nan_to_num(),
                               rtol=1e-9, atol=1e-12)
    mass = known_mass(own, int(found['num_known']), soft)
    torch.testing.assert_close(mass, found['known_mass'], rtol=1e-9, atol=0)
    if mass.numel():
        torch.testing.assert_close(mass / mass.mean(), found['weight'],
                                   rtol=1e-9, atol=0)


def test_loss_of_each_head(oracle):
    """Without the weight, heads are apart; with it, by hand."""
    found = tensors(oracle('cr_kd/class_relation_kd'))
    hidden = ~found['labelled']
    teacher = found['old_logits'][:, hidden]
    student = found['new_logits'][:, :, hidden]
    q = (teacher / .4).softmax(-1)[:, None]
    p = (student[..., :3] / .4).softmax(-1)
    entropy = -(q * p.log()).sum(-1)
    torch.testing.assert_close(
        16 * (found['weight'] * entropy).mean((0, 2)),
        found['loss_per_head'], rtol=1e-9, atol=0)
    torch.testing.assert_close(
        class_relation_kd(teacher, student, .4, weighted=False),
        entropy.mean(), rtol=1e-9, atol=0)


def test_gradient_goes_through_the_weight_alone():
    """Where the student agrees with the teacher, only w has a gradient."""
    teacher = torch.rand(2, 4, 3, dtype=torch.float64)
    novel = torch.rand(2, 1, 4, 2, dtype=torch.float64, requires_grad=True)
    known = teacher[:, None].clone().requires_grad_()

    def loss(weighted):
        return class_relation_kd(teacher, torch.cat([known, novel], -1), .4,
                                 weighted)

    fixed = torch.autograd.grad(loss(False), [known, novel],
                                allow_unused=True)
    assert fixed[0].abs().max() < 1e-12 and not fixed[1].any()
    assert torch.autograd.grad(loss(True), novel)[0].abs().max() > 1e-4


def test_extreme_cosines_are_finite():
    student = torch.tensor([[[[-500., -500., 500.]]]], requires_grad=True)
    loss = class_relation_kd(torch.zeros(1, 1, 2), student, .4)
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


def on_rank(rank, teacher, student):
    found = []
    for first in (0, 2, 5):
        part = slice(0, first) if rank == 0 else slice(first, None)
        own = student.clone().requires_grad_()
        loss = class_relation_kd(teacher[:, part], own[:, :, part], .4)
        loss.backward()
        torch.distributed.all_reduce(own.grad)
        found.append((loss.detach(), own.grad / 2))  # as DDP
    return found


def test_two_ranks_equal_one(tmp_path):
    """Ranks with other numbers of unlabelled photos, and with none."""
    teacher = torch.randn(2, 5, 3, dtype=torch.float64)
    student = torch.randn(2, 2, 5, 7, dtype=torch.float64)
    whole = student.clone().requires_grad_()
    loss = class_relation_kd(teacher, whole, .4)
    loss.backward()
    for rank in run_ranks(on_rank, tmp_path, teacher, student):
        for value, grad in rank:
            torch.testing.assert_close(value, loss.detach(), rtol=1e-12,
                                       atol=0)
            torch.testing.assert_close(grad, whole.grad)
