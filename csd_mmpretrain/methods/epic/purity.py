"""How pure channels are, and which images excite them most."""
import torch


def mix_channels(maps: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Apply the matrix to the channels at each position: U Z[x, y].

    Args:
        maps (Tensor): (N, D, h, w), floating.
        matrix (Tensor): U, (D, D).

    Returns:
        Tensor: (N, D, h, w).

    Raises:
        ValueError: If the maps have another number of channels.

    Source: EPIC, the disentangled feature map.
    """
    if maps.size(1) != matrix.size(1):
        raise ValueError(
            f'The matrix is for {matrix.size(1)} channels, but the feature '
            f'maps have {maps.size(1)}. Fit a matrix on this classifier.')
    return torch.einsum('kd,ndhw->nkhw', matrix, maps)


def channel_activation(maps: torch.Tensor,
                       matrix: torch.Tensor) -> torch.Tensor:
    """Compute how much an image excites each channel.

    Args:
        maps (Tensor): Z, (N, D, h, w), floating, before the matrix.
        matrix (Tensor): U, (D, D).

    Returns:
        Tensor: (N, D), the sum of each channel of U Z over the positions.

    Source: EPIC, the activation of a channel.
    """
    return maps.sum((2, 3)) @ matrix.mT


def top_prototypes(activation: torch.Tensor, num: int) -> torch.Tensor:
    """Choose the images that excite each channel most.

    Args:
        activation (Tensor): (N, D), floating.
        num (int): Images per channel, m.

    Returns:
        Tensor: (D, m), int64, by falling activation; of equal ones the first
        image comes first.

    Raises:
        ValueError: If there are fewer than m images, or m is below 1.

    Source: EPIC, the (positive) prototypes of a channel.
    """
    check_num_prototypes(num, len(activation))
    order = activation.sort(dim=0, descending=True, stable=True).indices
    return order[:num].mT.contiguous()


def check_num_prototypes(num: int, images: int) -> None:
    """Raise a ValueError if so many prototypes cannot be chosen."""
    if num < 1:
        raise ValueError(f'{num} prototypes per channel: at least 1 is '
                         'needed.')
    if num > images:
        raise ValueError(
            f'{num} prototypes per channel are to be chosen among {images} '
            'training images. Choose fewer prototypes, or give more images.')


def peak_position(maps: torch.Tensor, channel: torch.Tensor) -> torch.Tensor:
    """Find where a channel of each map is largest.

    Args:
        maps (Tensor): (B, D, h, w), floating, after the matrix.
        channel (Tensor): (B,), int64, which channel of each.

    Returns:
        Tensor: (B, 2), int64, row and column; the first of equal ones.
    """
    chosen = maps[torch.arange(len(maps), device=maps.device), channel]
    flat = chosen.flatten(1).argmax(1)
    width = maps.size(3)
    return torch.stack([flat // width, flat % width], 1)


def purity(maps: torch.Tensor, channel: torch.Tensor) -> torch.Tensor:
    """Compute the purity of a channel in each map.

    With p the channels where this one is largest, purity is p_k / |p|. It is
    1 where no other channel is active, and below 0 where the channel is
    negative everywhere. The choice of the position has no gradient.

    Args:
        maps (Tensor): (B, D, h, w), floating, after the matrix.
        channel (Tensor): (B,), int64, which channel of each.

    Returns:
        Tensor: (B,), in [-1, 1]; 0 for a map of zeros.

    Source: EPIC, purity by arg max; its range [0, 1] there is too narrow.
    """
    index = torch.arange(len(maps), device=maps.device)
    row, column = peak_position(maps, channel).unbind(1)
    vectors = maps[index, :, row, column]
    return vectors[index, channel] / vectors.norm(dim=1).clamp(min=1e-8)
