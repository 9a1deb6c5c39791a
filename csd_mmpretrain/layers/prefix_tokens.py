"""How many leading tokens of a transformer are no patches."""
from typing import Optional

from torch import nn


def backbone_prefix_tokens(backbone: Optional[nn.Module]) -> Optional[int]:
    """Look up how many class, distillation and register tokens there are.

    Args:
        backbone (nn.Module, optional): Of mmpretrain or timm.

    Returns:
        int, optional: None, if the backbone does not tell.

    Example:
        >>> from mmpretrain.models import VisionTransformer
        >>> backbone_prefix_tokens(VisionTransformer('deit-tiny'))
        1
    """
    known = getattr(backbone, 'num_extra_tokens', None)
    timm_model = getattr(backbone, 'timm_model', None)
    return getattr(timm_model, 'num_prefix_tokens', known)


def check_prefix_tokens(owner: str, num_prefix_tokens: int,
                        backbone: nn.Module) -> None:
    """Refuse a number of leading tokens that is not the backbone's.

    Args:
        owner (str): The class to name in the message.
        num_prefix_tokens (int): As it was set, for ``layout='tokens'``.
        backbone (nn.Module): Where it does not tell, nothing is checked.

    Raises:
        ValueError: If the numbers differ.
    """
    known = backbone_prefix_tokens(backbone)
    if known not in (None, num_prefix_tokens):
        raise ValueError(
            f'{owner}: num_prefix_tokens={num_prefix_tokens}, but the '
            f'backbone, {type(backbone).__name__}, puts {known} tokens before '
            f'its grid. Set num_prefix_tokens={known}.')
