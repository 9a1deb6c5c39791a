"""Features of a dataset at a stage of a model."""
from typing import Iterable, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel

STAGES = ('backbone', 'neck', 'pre_logits')


@torch.no_grad()
def collect_features(
        model: BaseModel,
        loader: Iterable[dict],
        stage: Optional[str] = None) -> Tuple[torch.Tensor, torch.Tensor]:
    """Run a model over a dataset and keep one feature per image.

    Where a stage gives several outputs, the last one counts; of a feature
    map the mean over its positions, of tokens the mean over the tokens.

    Args:
        model (BaseModel): A classifier, or a self-supervised model. It is in
            evaluation mode meanwhile, and as it was before afterwards.
        loader (Iterable[dict]): Batches with ``inputs`` and
            ``data_samples``, as a data loader gives them.
        stage (str, optional): ``'backbone'``, ``'neck'`` or
            ``'pre_logits'``. Defaults to None, what the model's
            ``extract_feat`` gives by itself: a classifier's neck.

    Returns:
        tuple[Tensor, Tensor]: Features (N, C), float32, and labels (N,),
        int64, both on the model's device, in the order of the loader.

    Raises:
        ValueError: If the loader is empty, or an image has not one label.

    Source: the stages and the means are those of mmpretrain's t-SNE.

    Example:
        ::

            features, labels = collect_features(
                model, Runner.build_dataloader(cfg.test_dataloader), 'neck')
    """
    options = {} if stage is None else dict(stage=stage)
    features, labels = [], []
    training = model.training
    model.eval()
    try:
        for batch in loader:
            batch = model.data_preprocessor(batch)
            feats = model.extract_feat(batch['inputs'], **options)
            features.append(_pool(model, feats).float())
            labels += [_label(sample) for sample in batch['data_samples']]
    finally:
        model.train(training)
    if not features:
        raise ValueError('collect_features: the loader gives no batch. Give '
                         'one over at least one image.')
    return torch.cat(features), torch.cat(labels)


def _pool(model: BaseModel,
          feats: Union[torch.Tensor, Sequence]) -> torch.Tensor:
    """Reduce the last output to (B, C)."""
    while isinstance(feats, (tuple, list)):
        feats = feats[-1]
    if feats.dim() == 3:
        return feats.mean(1)
    if feats.dim() == 4:
        layout = getattr(getattr(model, 'neck', None), 'layout', 'nchw')
        return feats.mean((1, 2) if layout == 'nhwc' else (2, 3))
    return feats


def _label(sample: object) -> torch.Tensor:
    label = sample.get('gt_label')
    if label is None or label.numel() != 1:
        found = 'no label' if label is None else f'{label.numel()} labels'
        raise ValueError(f'collect_features: an image has {found}, but '
                         'exactly one per image is needed. Give a dataset '
                         'with one class per image.')
    return label
