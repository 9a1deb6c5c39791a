"""The equations of CMD: distillation within a level and across levels."""
import math
from typing import Tuple

import torch
import torch.nn.functional as F


def image_distillation(student: torch.Tensor,
                       teacher: torch.Tensor) -> torch.Tensor:
    r"""L_I: the teacher's image distributions, learnt from other crops.

    .. math::
        L_I = - \frac{1}{|\{q \ne v\}|} \sum_{q \ne v}
            \sum_k p_q[k] \log s_v[k]

    for teacher crops q and student crops v, of which the first are the
    teacher's. As the sum over v is linear, one product a teacher crop is
    enough.

    Args:
        student (Tensor): (V, B, K), log-probabilities of the student's crops.
        teacher (Tensor): (Q, B, K), probabilities of the first Q <= V crops,
            without gradient.

    Returns:
        Tensor: Scalar, the mean over pairs and images.

    Source: CMD, the image level; the form is DINO's.

    Example:
        >>> import torch
        >>> student = torch.randn(3, 2, 5).log_softmax(-1)
        >>> image_distillation(student, student[:2].exp()).shape
        torch.Size([])
    """
    views, images = student.shape[:2]
    others = student.sum(0) - student[:len(teacher)]
    pairs = len(teacher) * (views - 1)
    return -(teacher * others).sum() / (pairs * images)


def match_tokens(student: torch.Tensor,
                 teacher: torch.Tensor) -> torch.Tensor:
    """Match each token of the student to the teacher's most similar one.

    Args:
        student (Tensor): (..., N, C), backbone features.
        teacher (Tensor): (..., M, C), backbone features.

    Returns:
        Tensor: (..., N), int64, j*: the index of the highest cosine. Of
        equal cosines any may be taken.

    Source: CMD, the region level.

    Example:
        >>> import torch
        >>> tokens = torch.eye(4)
        >>> match_tokens(tokens[[2, 0]], tokens)
        tensor([2, 0])
    """
    cosines = F.normalize(student, dim=-1) @ F.normalize(
        teacher, dim=-1).transpose(-1, -2)
    return cosines.argmax(-1)


def region_distillation(student: torch.Tensor, teacher: torch.Tensor,
                        match: torch.Tensor) -> torch.Tensor:
    r"""L_R of one pair of crops: each token learns from its match.

    .. math::
        L_R = - \frac{1}{N} \sum_i \sum_k P[j^*(i)][k] \log s_i[k]

    Args:
        student (Tensor): (B, N, K), log-probabilities of the tokens.
        teacher (Tensor): (B, M, K), probabilities, without gradient.
        match (Tensor): (B, N), int64, j* of each token.

    Returns:
        Tensor: Scalar, the mean over tokens and images.

    Source: CMD, the region level.
    """
    # All pairs of tokens by one product: nothing of (B, N, K) is gathered.
    cross_entropy = -(student @ teacher.transpose(-1, -2))
    return cross_entropy.gather(-1, match[..., None]).mean()


def bag_distribution(tokens: torch.Tensor,
                     log_weights: torch.Tensor) -> torch.Tensor:
    r"""The distribution of a bag: the weighted mean of its tokens'.

    .. math:: \bar P = \sum_n a_n \, \mathrm{softmax}(z_n / \tau)

    Args:
        tokens (Tensor): (..., N, K), log-probabilities.
        log_weights (Tensor): (..., N), log a, whose exp sums to 1.

    Returns:
        Tensor: (..., K), log P-bar, finite for finite tokens.

    Source: choice.

    Example:
        >>> import torch
        >>> tokens = torch.tensor([[1., 3.], [1., 1.]]).log_softmax(-1)
        >>> weights = torch.tensor([0.5, 0.5]).log()
        >>> bag = bag_distribution(tokens, weights).exp()
        >>> torch.allclose(bag, tokens.exp().mean(0))
        True
    """
    return torch.logsumexp(tokens + log_weights[..., None], dim=-2)


def inter_level(bag: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    r"""L_S, and L_T in the teacher: how far a bag is from its image.

    .. math:: L = \mathrm{KL}(\bar P \,\|\, p)

    Args:
        bag (Tensor): (..., K), log-probabilities of the bags.
        image (Tensor): (..., K), log-probabilities of the images.

    Returns:
        Tensor: Scalar, the mean over crops and images; 0 where the two are
        equal.

    Source: CMD, across levels; the form is a choice.
    """
    return F.kl_div(
        image.flatten(0, -2),
        bag.flatten(0, -2),
        reduction='batchmean',
        log_target=True)


def output_statistics(
        probabilities: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    r"""Tell a healthy output from a collapsed one.

    Args:
        probabilities (Tensor): (N, K), one distribution per image.

    Returns:
        tuple[Tensor, Tensor]: Two scalars. The entropy in units of
        :math:`\log K`: 1 if all prototypes are equally likely, 0 if one has
        all the weight. The deviation, the fraction of the distributions'
        energy that differs between images,
        :math:`1 - \lVert \bar p \rVert^2 / \overline{\lVert p \rVert^2}`: 0
        if all images have the same distribution, at most 1 - 1/N.

    Source: choice.

    Example:
        >>> import torch
        >>> entropy, deviation = output_statistics(torch.eye(4))
        >>> round(entropy.item(), 3), round(deviation.item(), 3)
        (0.0, 0.75)
    """
    entropy = torch.special.entr(probabilities).sum(-1).mean()
    entropy = entropy / math.log(probabilities.size(-1))
    energy = probabilities.square().sum(-1).mean()
    return entropy, 1 - probabilities.mean(0).square().sum() / energy
