"""Distillation of what a photo has in common with the known classes."""
import torch

from csd_mmpretrain.layers.gather import whole_sum


def known_mass(logits: torch.Tensor, num_known: int,
               temperature: float) -> torch.Tensor:
    """Compute how much of a prediction lies on the known classes.

    Args:
        logits (Tensor): (..., C), floating, cosines; known classes first.
        num_known (int): Known classes.
        temperature (float): Divides the cosines.

    Returns:
        Tensor: (...), in (0, 1).

    Source: Cr-KD, the weight of its distillation.

    Example:
        >>> known_mass(torch.tensor([[0., 0., 0., 0.]]), 1, 0.4)
        tensor([0.2500])
    """
    log_p = (logits / temperature).log_softmax(-1)
    return log_p[..., :num_known].logsumexp(-1).exp()


def class_relation_kd(teacher: torch.Tensor,
                      student: torch.Tensor,
                      temperature: float,
                      weighted: bool = True) -> torch.Tensor:
    r"""Keep the class relation of the known classes' model.

    With q the teacher's distribution over known classes and p the student's,
    both softened, :math:`L = mean(w \\, H(q, p))`, where w is the student's
    mass on the known classes, divided by its mean over views, heads and
    photos of all processes. w is not detached: its gradient moves mass between
    known and novel classes.

    Args:
        teacher (Tensor): (V, B, C_l), floating: cosines of the teacher for
            the unlabelled photos alone. It has no gradient.
        student (Tensor): (V, H, B, C_l + C_u): those of the student's heads.
        temperature (float): Divides all cosines; tau x T of the paper.
        weighted (bool): Whether w is there; without it each photo counts
            alike. Defaults to True.

    Returns:
        Tensor: A scalar; 0 without a photo.

    Source: Cr-KD (Gu et al., ICCV 2023); without its factor T^2.

    Example:
        >>> class_relation_kd(torch.zeros(1, 1, 2), torch.zeros(1, 1, 1, 4),
        ...                   0.4)
        tensor(0.6931)
    """
    num_known = teacher.size(-1)
    target = (teacher.detach() / temperature).softmax(-1)[:, None]
    log_p = (student[..., :num_known] / temperature).log_softmax(-1)
    entropy = -(target * log_p).sum(-1)
    weight = known_mass(student, num_known, temperature) if weighted else (
        torch.ones_like(entropy))
    weighted_sum, total = whole_sum(
        torch.stack([(weight * entropy).sum(), weight.sum()]))
    return weighted_sum / total.clamp(min=torch.finfo(total.dtype).tiny)
