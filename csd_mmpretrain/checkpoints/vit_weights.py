"""Vision transformers of DINO and timm under mmpretrain's names."""
import re

from .checkpoint_files import save_plain
from .pretrained import read_checkpoint

# Of DINO's and timm's names, in this order.
RENAMES = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^blocks\.(\d+)\.norm([12])\.', r'layers.\1.ln\2.'),
    (r'^blocks\.(\d+)\.mlp\.fc1\.', r'layers.\1.ffn.layers.0.0.'),
    (r'^blocks\.(\d+)\.mlp\.fc2\.', r'layers.\1.ffn.layers.1.'),
    (r'^blocks\.', 'layers.'),
    (r'^norm\.', 'ln1.'),
)


def convert_vit(checkpoint: str, out: str) -> int:
    """Write a plain ViT of DINO or timm as weights for mmpretrain's.

    Args:
        checkpoint (str): Weights by DINO's names, which are timm's. A head is
            left out.
        out (str): The file to write, with tensors named as those of
            ``VisionTransformer``.

    Returns:
        int: The number of tensors written.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is none, or not of a plain vision transformer.

    Example:
        ::

            convert_vit('dino_vitbase16_pretrain.pth',
                        'dino_vitbase16_mmpretrain.pth')
    """
    content = read_checkpoint(checkpoint)
    weights = {}
    for name, value in content.get('state_dict', content).items():
        if name.split('.')[0] in ('head', 'fc_norm'):
            continue
        for pattern, new in RENAMES:
            name = re.sub(pattern, new, name)
        weights[name] = value
    needed = {'cls_token', 'pos_embed', 'patch_embed.projection.weight',
              'layers.0.attn.qkv.weight', 'ln1.weight'}
    missing = sorted(needed - set(weights))
    if missing:
        raise ValueError(
            f'{checkpoint} is no plain vision transformer of DINO or timm: '
            f'{missing[0]} is missing. Give a file such as '
            'dino_vitbase16_pretrain.pth.')
    save_plain(dict(meta={}, state_dict=weights), out)
    return len(weights)
