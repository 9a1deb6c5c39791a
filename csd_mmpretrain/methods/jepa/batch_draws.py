"""Random numbers of a step, whatever the number of ranks."""
import torch
from mmengine.dist import get_rank, get_world_size


class BatchDraws:
    """Numbers in [0, 1) that follow from seed, step and place in the batch.

    A resumed training draws the same, and so do several ranks together.

    Args:
        seed (int): Of the training.
        iteration (int): The step.
        count (int): B, the images of this rank.

    Example:
        >>> BatchDraws(seed=0, iteration=7, count=2).of_images(5).shape
        torch.Size([2, 5])
    """

    def __init__(self, seed: int, iteration: int, count: int) -> None:
        self._seed = (seed << 40) + (iteration << 8)
        self._count = count

    def of_batch(self, *shape: int) -> torch.Tensor:
        """Draw what is the same for all images of all ranks."""
        self._seed += 1
        return torch.rand(
            shape, generator=torch.Generator().manual_seed(self._seed))

    def of_images(self, *shape: int) -> torch.Tensor:
        """Draw (B, *shape), for the images of this rank."""
        world = get_world_size()
        return self.of_batch(self._count * world, *shape)[get_rank()::world]
