"""Which images make a batch."""
from .pk_sampler import PKSampler
from .seeded_batch_sampler import SeededBatchSampler

__all__ = ['PKSampler', 'SeededBatchSampler']
