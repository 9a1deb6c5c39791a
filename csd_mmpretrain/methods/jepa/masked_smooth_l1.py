"""The loss of predicted features."""
import torch
import torch.nn.functional as F


def masked_smooth_l1(prediction: torch.Tensor, target: torch.Tensor,
                     mask: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    """Average the smooth L1 distance over masked tokens.

    Args:
        prediction (Tensor): (B, n, D).
        target (Tensor): (B, n, D).
        mask (Tensor): (B, n), bool: the tokens that count.
        beta (float): Where the square becomes a line. Defaults to 1.

    Returns:
        Tensor: A scalar in single precision at least; 0 for an empty mask.

    Source: I-JEPA's code (its paper has L2); DSeq-JEPA.
    """
    wide = torch.promote_types(prediction.dtype, torch.float32)
    distance = F.smooth_l1_loss(
        prediction.to(wide), target.to(wide), reduction='none',
        beta=beta).mean(-1)
    return torch.where(mask, distance, 0).sum() / mask.sum().clamp(min=1)
