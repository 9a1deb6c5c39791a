"""Features of a dataset at a stage of a model."""
from typing import Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.structures import DataSample

from csd_mmpretrain.layers.prefix_tokens import backbone_prefix_tokens
from csd_mmpretrain.runtime.undisturbed import same_modes

STAGES = ('backbone', 'neck', 'pre_logits')


def collect_features(
        model: BaseModel,
        loader: Iterable[dict],
        stage: Optional[str] = None) -> Tuple[torch.Tensor, torch.Tensor]:
    """Run a model over a dataset and keep one feature per image.

    Args:
        model (BaseModel): A classifier, or a self-supervised model. It is in
            evaluation mode meanwhile, and as it was before afterwards.
        loader (Iterable[dict]): As in :func:`batch_features`.
        stage (str, optional): As in :func:`batch_features`. Defaults to None.

    Returns:
        tuple[Tensor, Tensor]: Features (N, C), float32, and labels (N,),
        int64, both on the model's device, in the order of the loader.

    Raises:
        ValueError: If the loader is empty, an image has not one label, or the
            model has no such stage.

    Example:
        ::

            features, labels = collect_features(
                model, Runner.build_dataloader(cfg.test_dataloader), 'neck')
    """
    features, labels = [], []
    for feature, samples in batch_features(model, loader, stage):
        features.append(feature)
        labels += [sample.gt_label for sample in samples]
    if not features:
        raise ValueError('collect_features: the loader gives no batch. Give '
                         'one over at least one image.')
    return torch.cat(features), torch.cat(labels).to(features[0].device)


@torch.no_grad()
def batch_features(
    model: BaseModel,
    loader: Iterable[dict],
    stage: Optional[str] = None
) -> Iterator[Tuple[torch.Tensor, List[DataSample]]]:
    """Run a model over a dataset, batch by batch.

    Where a stage gives several outputs, the last one counts. Of a feature map
    the mean over its positions is taken; of tokens the class token where the
    backbone has one, else the mean without registers.

    Args:
        model (BaseModel): A classifier, or a self-supervised model. It is in
            evaluation mode meanwhile, and as it was before afterwards.
        loader (Iterable[dict]): Batches with ``inputs`` and
            ``data_samples``, as a data loader gives them with either collate
            function of mmengine.
        stage (str, optional): ``'backbone'``, ``'neck'`` or
            ``'pre_logits'``; a self-supervised model has ``'backbone'``
            alone. Defaults to None, what the model's ``extract_feat`` gives
            by itself: a classifier's neck, a self-supervised model's
            backbone.

    Yields:
        tuple[Tensor, list[DataSample]]: Features (B, C), float32, and the
        samples, with one label each.

    Raises:
        ValueError: If an image has not one label, or the model has no such
            stage.

    Source: the stages and the means are those of mmpretrain's t-SNE; the
    class token is what DINO evaluates (Caron et al. 2021).
    """
    with same_modes(model):
        model.eval()
        for batch in loader:
            batch = model.data_preprocessor(
                dict(
                    inputs=_stacked(batch['inputs']),
                    data_samples=batch['data_samples']))
            feats = _extract(model, batch['inputs'], stage)
            _check_labels(batch['data_samples'])
            yield _pool(model, feats).float(), batch['data_samples']


def _stacked(inputs: Union[torch.Tensor, Sequence]) -> torch.Tensor:
    """Put a list of images together, which some models take for views."""
    if isinstance(inputs, torch.Tensor):
        return inputs
    if inputs[0].dim() == 3 and len({image.shape for image in inputs}) == 1:
        return torch.stack(list(inputs))
    return inputs


def _extract(model: BaseModel, inputs: torch.Tensor,
             stage: Optional[str]) -> Union[torch.Tensor, Sequence]:
    if isinstance(model, BaseSelfSupervisor):
        if stage not in (None, 'backbone'):
            raise ValueError(
                f'stage={stage!r}: {type(model).__name__} is self-supervised '
                'and has features of its backbone alone. Choose '
                "stage='backbone', or leave it out.")
        return model.extract_feat(inputs)
    return model.extract_feat(
        inputs, **({} if stage is None else dict(stage=stage)))


def _pool(model: BaseModel,
          feats: Union[torch.Tensor, Sequence]) -> torch.Tensor:
    """Reduce the last output to (B, C)."""
    while isinstance(feats, (tuple, list)):
        feats = feats[-1]
    if feats.dim() == 3:
        if _has_class_token(model):
            return feats[:, 0]
        # Registers of timm's models without a class token.
        registers = backbone_prefix_tokens(getattr(model, 'backbone', None))
        return feats[:, registers or 0:].mean(1)
    if feats.dim() == 4:
        neck = getattr(model, 'neck', None)
        layout = getattr(model, 'layout', getattr(neck, 'layout', 'nchw'))
        return feats.mean((1, 2) if layout == 'nhwc' else (2, 3))
    return feats


def _has_class_token(model: BaseModel) -> bool:
    if hasattr(model, 'num_prefix_tokens'):  # CMD
        return model.num_prefix_tokens > 0
    backbone = model.backbone
    timm_model = getattr(backbone, 'timm_model', None)
    if timm_model is not None:
        return any(getattr(part, 'cls_token', None) is not None for part in (
            timm_model, getattr(timm_model, 'embeds', None)))
    return getattr(backbone, 'num_extra_tokens', 0) > 0


def _check_labels(samples: Sequence[DataSample]) -> None:
    for sample in samples:
        label = sample.get('gt_label')
        if label is None or label.numel() != 1:
            found = 'no label' if label is None else f'{label.numel()} labels'
            raise ValueError(
                f'An image has {found}, but exactly one per image is needed. '
                'Give a dataset with one class per image.')
