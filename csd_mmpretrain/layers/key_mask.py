"""Attention that sees some of its keys."""
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class KeyMask(TorchFunctionMode):
    """Hide keys from every attention that torch computes within it.

    So a batch can have sequences of different lengths in blocks that take no
    mask, such as mmpretrain's and timm's. It changes the calls of
    ``scaled_dot_product_attention`` alone, by torch's own interface for that.
    Recomputed blocks (checkpointing) run again after it has ended: they are
    not for it.

    Args:
        keys (Tensor): (B, N), bool: what each sequence sees. Every sequence
            needs one key at least.

    Raises:
        RuntimeError: At the end, if nothing called torch's attention, so that
            the mask had no effect.

    Example:
        >>> import torch
        >>> from torch.nn.functional import scaled_dot_product_attention
        >>> q = k = v = torch.rand(2, 1, 5, 8)
        >>> with KeyMask(torch.tensor([[1, 1, 0, 0, 0]] * 2).bool()):
        ...     out = scaled_dot_product_attention(q, k, v)
    """

    def __init__(self, keys: torch.Tensor) -> None:
        super().__init__()
        self._keys = keys[:, None, None]
        self._used = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            self._used = True
            kwargs = dict(kwargs, attn_mask=self._keys)
        return func(*args, **kwargs)

    def __exit__(self, error, *details) -> None:
        super().__exit__(error, *details)
        if error is None and not self._used:
            raise RuntimeError(
                'The attention of the blocks is not '
                'torch.nn.functional.scaled_dot_product_attention, so keys '
                'cannot be hidden from it. Use blocks without `qk_scale`, '
                'and timm models with fused attention.')
