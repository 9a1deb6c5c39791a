"""Features of a dataset at a stage of a model."""
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader

from csd_mmpretrain.layers.feature_map import backbone_prefix_tokens
from csd_mmpretrain.runtime.undisturbed import same_modes

STAGES = ('backbone', 'neck', 'pre_logits')


class LabelledFeatures(NamedTuple):
    """Features (N, C), floating, and labels (N,), int64, on one device."""

    features: torch.Tensor
    labels: torch.Tensor


def collect_features(model: BaseModel,
                     loader: Iterable[dict],
                     stage: Optional[str] = None) -> LabelledFeatures:
    """Compute the features of a dataset.

    Where a stage has several outputs, the last one counts. A feature map is
    averaged over its positions. Of tokens the class token is taken where the
    backbone has one, else the mean without registers.

    Args:
        model (BaseModel): A classifier or a self-supervised model, without
            its wrapper; in evaluation mode meanwhile.
        loader (Iterable[dict]): Batches with ``inputs`` and
            ``data_samples``, of either collate function of mmengine.
        stage (str, optional): ``'backbone'``, ``'neck'`` or
            ``'pre_logits'``; a self-supervised model has ``'backbone'``
            alone. Defaults to None, what ``extract_feat`` gives by itself: a
            classifier's neck, a self-supervised model's backbone.

    Returns:
        LabelledFeatures: In the order of the loader, float32, on the model's
        device.

    Raises:
        ValueError: If the loader is empty, an image has not one label, the
            model has no such stage, or a feature is not finite.

    Source: the stages and the means are those of mmpretrain's t-SNE; the
    class token is what DINO evaluates (Caron et al. 2021).

    Example:
        ::

            features, labels = collect_features(
                model, Runner.build_dataloader(cfg.test_dataloader), 'neck')
    """
    features, labels = [], []
    for feature, samples in _batch_features(model, loader, stage):
        features.append(feature)
        labels += [sample.gt_label for sample in samples]
    if not features:
        raise ValueError('collect_features: the loader gives no batch. Give '
                         'one over at least one image.')
    return LabelledFeatures(
        torch.cat(features), torch.cat(labels).to(features[0].device))


def evaluate_features(model: BaseModel,
                      gallery_loader: Optional[DataLoader],
                      query_loader: DataLoader,
                      evaluator: Evaluator,
                      stage: Optional[str] = None) -> Dict[str, float]:
    """Evaluate the features of gallery and query images by metrics.

    Each process computes its part of the features; the metrics gather them.

    Args:
        model (BaseModel): As in :func:`collect_features`.
        gallery_loader (DataLoader, optional): Over the gallery (training)
            images. None where the queries are compared with each other.
        query_loader (DataLoader): Over the query (test) images.
        evaluator (Evaluator): With metrics such as ``KNNAccuracy`` and
            ``RetrievalMetric``.
        stage (str, optional): As in :func:`collect_features`.

    Returns:
        dict[str, float]: The numbers by name, in all processes.

    Raises:
        ValueError: If an image is not seen once, has not one label, or its
            features are not finite.
    """
    batches = 0
    for loader, in_gallery in ((gallery_loader, True), (query_loader, False)):
        if loader is None:
            continue
        batches += len(loader)
        seen = set()
        for features, samples in _batch_features(model, loader, stage):
            indices = [sample.get('sample_idx') for sample in samples]
            evaluator.process([
                DataSample(
                    feature=feature,
                    gt_label=sample.gt_label.cpu(),
                    metainfo=dict(sample_idx=index, in_gallery=in_gallery))
                for feature, sample, index in zip(features.cpu(), samples,
                                                  indices)
            ])
            seen.update(indices)
        found = torch.tensor(len(seen))
        all_reduce(found)
        if None in seen or found < len(loader.dataset):
            raise ValueError(
                f'{type(loader.dataset).__name__}: {int(found)} different '
                f'sample_idx, but {len(loader.dataset)} images. The features '
                'of each image are needed once: take a dataset that is not '
                'concatenated or repeated, drop no last batch, and keep '
                "`sample_idx` among PackInputs' meta_keys.")
    return evaluator.evaluate(get_world_size() * batches)


@torch.no_grad()
def _batch_features(
    model: BaseModel, loader: Iterable[dict], stage: Optional[str]
) -> Iterator[Tuple[torch.Tensor, List[DataSample]]]:
    """Yield the features (B, C), float32, and the samples of each batch."""
    with same_modes(model):
        model.eval()
        for batch in loader:
            batch = model.data_preprocessor(
                dict(
                    inputs=_stacked(batch['inputs']),
                    data_samples=batch['data_samples']))
            feats = _extract(model, batch['inputs'], stage)
            for sample in batch['data_samples']:
                _check_label(sample.get('gt_label'))
            features = _pool(model, feats).float()
            if not features.isfinite().all():
                raise ValueError(
                    "The model's features of some images are not finite. Give "
                    'another checkpoint, or look at the images.')
            yield features, batch['data_samples']


def _stacked(inputs: Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
    """Stack a list of images, which some models take for views."""
    if not isinstance(inputs, torch.Tensor) and inputs[0].dim() == 3 and len(
            {image.shape for image in inputs}) == 1:
        return torch.stack(list(inputs))
    return inputs


def _extract(model: BaseModel, inputs: torch.Tensor,
             stage: Optional[str]) -> Iterable[torch.Tensor]:
    if not isinstance(model, BaseSelfSupervisor):
        return model.extract_feat(
            inputs, **({} if stage is None else dict(stage=stage)))
    if stage not in (None, 'backbone'):
        raise ValueError(
            f'stage={stage!r}: {type(model).__name__} is self-supervised and '
            "has features of its backbone alone. Choose stage='backbone', or "
            'leave it out.')
    return model.extract_feat(inputs)


def _pool(model: BaseModel, feats: Iterable[torch.Tensor]) -> torch.Tensor:
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
    if hasattr(model, 'num_prefix_tokens'):
        return model.num_prefix_tokens > 0
    timm_model = getattr(model.backbone, 'timm_model', None)
    if timm_model is not None:
        return any(getattr(part, 'cls_token', None) is not None for part in (
            timm_model, getattr(timm_model, 'embeds', None)))
    return getattr(model.backbone, 'num_extra_tokens', 0) > 0


def _check_label(label: Optional[torch.Tensor]) -> None:
    if label is None or label.numel() != 1:
        found = 'no label' if label is None else f'{label.numel()} labels'
        raise ValueError(
            f'An image has {found}, but exactly one per image is needed. Give '
            'a dataset with one class per image.')
