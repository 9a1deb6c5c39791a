"""Which images make a batch."""
from .seeded_batch_sampler import SeededBatchSampler

__all__ = ['SeededBatchSampler']
