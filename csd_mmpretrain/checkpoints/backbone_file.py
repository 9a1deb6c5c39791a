"""The backbone of a pre-training as a file that other configs start from."""
from .checkpoint_files import save_plain
from .pretrained import read_checkpoint

PREFIXES = dict(teacher='teacher.backbone.', student='backbone.')


def export_backbone(checkpoint: str, out: str, part: str = 'teacher') -> int:
    """Write the backbone of a checkpoint as weights for any classifier.

    Args:
        checkpoint (str): Of a pre-training. One with a teacher holds two
            networks; that of any other model counts as the student.
        out (str): The file to write, with tensors named ``backbone.*``, for
            ``init_cfg=dict(type='Pretrained', checkpoint=out,
            prefix='backbone.')``.
        part (str): ``'teacher'`` or ``'student'``. Defaults to
            ``'teacher'``.

    Returns:
        int: The number of tensors written.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is none, or does not hold that network.

    Source: choice; the teacher is the network that is evaluated.

    Example:
        ::

            export_backbone('work_dirs/cmd/epoch_300.pth', 'backbone.pth')
    """
    content = read_checkpoint(checkpoint)
    prefix = PREFIXES[part]
    weights = {
        f'backbone.{name[len(prefix):]}': tensor.clone()
        for name, tensor in content.get('state_dict', content).items()
        if name.startswith(prefix)
    }
    if not weights:
        other = 'student' if part == 'teacher' else 'teacher'
        raise ValueError(
            f'{checkpoint} holds no {part}: no tensor is named {prefix}*. '
            f'Choose --part {other}, or give the checkpoint of a '
            'pre-training.')
    save_plain(dict(state_dict=weights), out)
    return len(weights)
