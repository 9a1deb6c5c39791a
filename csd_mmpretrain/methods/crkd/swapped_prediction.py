"""Swapped prediction: each view predicts the cluster of the others."""
import torch
import torch.nn.functional as F

from csd_mmpretrain.layers.sinkhorn import sinkhorn


@torch.no_grad()
def view_targets(novel: torch.Tensor,
                 labels: torch.Tensor,
                 num_known: int,
                 unlabelled: torch.Tensor,
                 epsilon: float = 0.05,
                 iterations: int = 3) -> torch.Tensor:
    """Compute what a view says of its photos.

    Labelled photos have their class. Unlabelled ones are assigned to the
    novel classes, which get equal shares of the batch's unlabelled photos, in
    each view and head on its own.

    Args:
        novel (Tensor): (Q, H, B, C_u), floating: cosines with the novel
            prototypes.
        labels (Tensor): (B,), int64; those of unlabelled photos are not read.
        num_known (int): C_l, known classes.
        unlabelled (Tensor): (M,), int64: places of the unlabelled photos.
        epsilon (float): Of :func:`sinkhorn`. Defaults to 0.05.
        iterations (int): Of :func:`sinkhorn`. Defaults to 3.

    Returns:
        Tensor: (Q, H, B, C_l + C_u), without gradient; rows sum to 1.

    Source: UNO (Fini et al., ICCV 2021).
    """
    labels = labels.clone()
    labels[unlabelled] = 0
    known = F.one_hot(labels, num_known).to(novel)
    known[unlabelled] = 0
    assigned = torch.zeros_like(novel)
    assigned[:, :, unlabelled] = sinkhorn(
        novel[:, :, unlabelled], epsilon, iterations)
    return torch.cat([known.expand(*novel.shape[:2], -1, -1), assigned], -1)


def swapped_prediction(logits: torch.Tensor, targets: torch.Tensor,
                       temperature: float) -> torch.Tensor:
    """Predict what another view says of a photo.

    Args:
        logits (Tensor): (V, H, B, C), floating: cosines of all views.
        targets (Tensor): (Q, H, B, C): of the first Q views.
        temperature (float): Divides the cosines.

    Returns:
        Tensor: (H,), the cross entropy of each head, a mean over photos and
        over pairs of a view and another one's target.

    Source: UNO (Fini et al., ICCV 2021).
    """
    log_p = (logits / temperature).log_softmax(-1)
    pairs = -torch.einsum('qhbc,vhbc->qvh', targets, log_p)
    views, heads, photos = logits.shape[:3]
    other = ~torch.eye(len(targets), views, dtype=torch.bool,
                       device=logits.device)
    return (pairs * other[..., None]).sum((0, 1)) / (
        len(targets) * (views - 1) * photos)
