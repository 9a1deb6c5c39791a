"""The backbone of a pre-training as a file that other configs start from."""
import io
import os

import torch
from mmengine.runner.checkpoint import CheckpointLoader

from .checkpoint_files import write_whole
from .pretrained import read_names

PREFIXES = dict(teacher='teacher.backbone.', student='backbone.')


def export_backbone(checkpoint: str, out: str, part: str = 'teacher') -> int:
    """Write the backbone of a checkpoint as weights for any classifier.

    Args:
        checkpoint (str): Of a pre-training; a run of CMD holds two networks,
            one of any other model counts as the student.
        out (str): The file to write: tensors named ``backbone.*``, for
            ``init_cfg=dict(type='Pretrained', checkpoint=out,
            prefix='backbone.')``.
        part (str): ``'teacher'`` or ``'student'``. Defaults to
            ``'teacher'``.

    Returns:
        int: The number of tensors written.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is none, or does not hold that network.

    Source: choice; CMD's teacher is the network that is evaluated.

    Example:
        ::

            export_backbone('work_dirs/cmd/epoch_300.pth', 'backbone.pth')
    """
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(
            f'There is no checkpoint {checkpoint!r}. Pre-train with '
            'tools/train.py; it lies in the work directory.')
    prefix = PREFIXES[part]
    names = [name for name in read_names(checkpoint)
             if name.startswith(prefix)]
    if not names:
        other = 'student' if part == 'teacher' else 'teacher'
        raise ValueError(
            f'{checkpoint} holds no {part}: no tensor is named {prefix}*. '
            f'Choose --part {other}, or give the checkpoint of a '
            'pre-training.')
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    tensors = content.get('state_dict', content)
    weights = {
        f'backbone.{name[len(prefix):]}': tensors[name].clone()
        for name in names
    }
    file = io.BytesIO()
    torch.save(dict(state_dict=weights), file)
    write_whole(out, file.getvalue())
    return len(weights)
