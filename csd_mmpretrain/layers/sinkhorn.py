"""Soft assignments to prototypes that are used equally."""
import torch
from mmengine.dist import all_gather, get_world_size


@torch.no_grad()
def sinkhorn(logits: torch.Tensor,
             epsilon: float = 0.05,
             iterations: int = 3) -> torch.Tensor:
    """Assign images to prototypes, with equal shares for the prototypes.

    exp(logits / epsilon) is scaled in turn so that the prototypes have equal
    sums and that each image sums to 1. All is computed in logarithms, so that
    large logits do not overflow. With several processes the prototypes are
    shared by the images of all; each gets the rows of its own images, of
    which it may have none.

    Args:
        logits (Tensor): (..., B, K), floating; leading axes are assigned each
            on its own.
        epsilon (float): A small one gives hard assignments. Defaults to 0.05.
        iterations (int): Rounds. Defaults to 3.

    Returns:
        Tensor: (..., B, K), without gradient; rows sum to 1, columns nearly
        to B / K.

    Raises:
        ValueError: If ``epsilon`` is not positive, or ``iterations`` below 1.

    Source: Cuturi 2013; as in SwAV (Caron et al. 2020) and UNO (Fini et al.
    2021).

    Example:
        >>> sinkhorn(torch.eye(2))
        tensor([[1.0000e+00, 2.0612e-09],
                [2.0612e-09, 1.0000e+00]])
    """
    if not epsilon > 0 or iterations < 1:
        raise ValueError(
            f'sinkhorn: epsilon={epsilon}, iterations={iterations}; expected '
            'an epsilon of more than 0 and at least one iteration.')
    log_q = logits / epsilon
    for _ in range(iterations):
        prototypes = log_q.logsumexp(-2, keepdim=True)
        if get_world_size() > 1:
            prototypes = torch.stack(all_gather(prototypes)).logsumexp(0)
        log_q = log_q - prototypes
        log_q = log_q - log_q.logsumexp(-1, keepdim=True)
    return log_q.exp()
