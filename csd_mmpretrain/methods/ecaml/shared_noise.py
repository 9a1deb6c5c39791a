"""Random numbers of a batch that all ranks have whole."""
import torch
from mmengine.dist import broadcast


def shared_noise(*size: int, device: torch.device) -> torch.Tensor:
    """Draw numbers in [0, 1), the same on all ranks.

    Args:
        size (int): Of the tensor.
        device (torch.device): Where they are drawn.

    Returns:
        Tensor: Of this size, float32.

    Example:
        >>> shared_noise(2, 3, device='cpu').shape
        torch.Size([2, 3])
    """
    noise = torch.rand(size, device=device)
    broadcast(noise)
    return noise
