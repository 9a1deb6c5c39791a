"""What a user of an exported file must know."""
import json
from typing import Any, Dict, Optional, Sequence

import torch
from mmengine.config import Config

from csd_mmpretrain.datasets.dataset_settings import shared_pipeline
from csd_mmpretrain.version import __version__

from .deployed_classifier import DeployedClassifier


def export_info(cfg: Config,
                model: DeployedClassifier,
                example: torch.Tensor,
                classes: Optional[Sequence[str]] = None,
                batch_size: Optional[int] = None) -> Dict[str, Any]:
    """Collect the metadata of an exported file.

    Args:
        cfg (Config): The whole config.
        model (DeployedClassifier): What is exported.
        example (Tensor): Images as the file takes them, (B, 3, H, W).
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None.
        batch_size (int, optional): The only batch size that the file takes.
            Defaults to None, any.

    Returns:
        dict: Plain values: ``classes``, ``input_shape``, ``input_dtype``,
        ``channel_order`` of the input, ``preprocessing`` (``'inside'`` or
        ``'outside'`` the file), ``mean`` and ``std`` (in the order of
        ``normalised_channel_order``), ``test_pipeline``, ``output``
        (``'logits'`` or ``'scores'``) and versions.
    """
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get(
        'data_preprocessor') or {}
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    normalised = 'RGB' if model.to_rgb else 'BGR'
    info = dict(
        classes=None if classes is None else list(classes),
        input_shape=[batch_size or 'batch', *example.shape[1:]],
        input_dtype=str(example.dtype).replace('torch.', ''),
        channel_order='BGR' if model.preprocess else normalised,
        preprocessing='inside' if model.preprocess else 'outside',
        normalised_channel_order=normalised,
        mean=preprocessor.get('mean'),
        std=preprocessor.get('std'),
        test_pipeline=shared_pipeline(dataset) if dataset else None,
        output='scores' if model.scores else 'logits',
        torch=torch.__version__,
        csd_mmpretrain=__version__)
    return json.loads(json.dumps(info, default=str))
