"""A stock classifier whose neck gives the channels after the matrix."""
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.config import Config

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.checkpoint_files import save_plain

from .explain import mixed_weight
from .fitted_epic import FittedEpic
from .pooled_classifier import PooledClassifier

CONFIG, CHECKPOINT = 'folded.py', 'folded.pth'


def fold(cfg: Config, epic: FittedEpic, classifier: PooledClassifier,
         folder: Path) -> float:
    """Write a checkpoint with A' for the head, and its config.

    U becomes a ``LinearNeck`` after the pooling. So mmpretrain's own tools
    run it, and the features of its neck are the channels after the matrix.
    Predictions need neither: the original classifier makes the same ones.

    Args:
        cfg (Config): The classifier's.
        epic (FittedEpic): The fitted matrix.
        classifier (PooledClassifier): Its classifier.
        folder (Path): Gets ``folded.py`` and ``folded.pth``.

    Returns:
        float: The largest difference of its logits for random features.

    Source: EPIC changes the head so; the neck is a choice.
    """
    model = classifier.model
    matrix, inverse = (part.to(classifier.weight)
                       for part in epic.matrix.both())
    cfg = deepcopy(cfg)
    necks = cfg.model.get('neck') or []
    necks = [necks] if isinstance(necks, dict) else list(necks)
    dim = len(matrix)
    cfg.model.neck = [*necks, dict(
        type='LinearNeck', in_channels=dim, out_channels=dim, norm_cfg=None)]
    layer = next(name for name, module in model.named_modules()
                 if module is classifier.layer)
    state = {
        name.replace('neck.', 'neck.0.', 1)
        if len(necks) == 1 and name.startswith('neck.') else name: value
        for name, value in model.state_dict().items()
    }
    state[f'{layer}.weight'] = mixed_weight(classifier.layer.weight.detach(),
                                            inverse)
    state[f'neck.{len(necks)}.fc.weight'] = matrix
    state[f'neck.{len(necks)}.fc.bias'] = matrix.new_zeros(dim)
    folded = build_bare_model(cfg).to(matrix).eval()
    folded.load_state_dict(state)
    cfg.dump(folder / CONFIG)
    save_plain(
        dict(
            meta=dict(dataset_meta=dict(classes=epic.classes)),
            state_dict={name: value.cpu() for name, value in state.items()}),
        str(folder / CHECKPOINT))
    with torch.no_grad():
        means = torch.rand(8, dim).to(matrix)
        found = folded.head(folded.neck[-1]((means, )))
        return (found - model.head((means, ))).abs().max().item()
