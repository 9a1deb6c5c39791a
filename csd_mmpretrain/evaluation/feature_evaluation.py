"""A model's features of two data loaders, handed to metrics."""
from typing import Dict, Optional, Set

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader

from .features import batch_features


def evaluate_features(model: BaseModel,
                      gallery_loader: Optional[DataLoader],
                      query_loader: DataLoader,
                      evaluator: Evaluator,
                      stage: Optional[str] = None) -> Dict[str, float]:
    """Run a model over gallery and query images, and let metrics compare.

    With several processes each runs its part, the metrics gather the
    features, and all processes get the numbers.

    Args:
        model (BaseModel): A classifier or a self-supervised model, without
            its wrapper.
        gallery_loader (DataLoader, optional): Over the gallery (training)
            images. None where the queries are compared with each other.
        query_loader (DataLoader): Over the query (test) images.
        evaluator (Evaluator): With metrics such as ``KNNAccuracy`` and
            ``RetrievalMetric``.
        stage (str, optional): As in
            :func:`~csd_mmpretrain.evaluation.features.batch_features`.
            Defaults to None.

    Returns:
        dict[str, float]: The numbers by name.

    Raises:
        ValueError: If some images are not seen, or have the ``sample_idx`` of
            another, or an image has not one label.

    Example:
        ::

            evaluate_features(
                model, train_loader, test_loader,
                Evaluator([dict(type='KNNAccuracy', ks=(10, 20))]))
    """
    batches = 0
    for loader, in_gallery in ((gallery_loader, True), (query_loader, False)):
        if loader is None:
            continue
        batches += len(loader)
        seen: Set[int] = set()
        for features, samples in batch_features(model, loader, stage):
            labelled = [
                DataSample(
                    feature=feature,
                    gt_label=sample.gt_label.cpu(),
                    metainfo=dict(
                        sample_idx=sample.get('sample_idx'),
                        in_gallery=in_gallery))
                for feature, sample in zip(features.cpu(), samples)
            ]
            evaluator.process(labelled)
            seen.update(sample.sample_idx for sample in labelled)
        _check_all_seen(loader, seen)
    return evaluator.evaluate(get_world_size() * batches)


def _check_all_seen(loader: DataLoader, seen: Set[int]) -> None:
    found = torch.tensor(len(seen))
    all_reduce(found)
    if None in seen or found < len(loader.dataset):
        raise ValueError(
            f'{type(loader.dataset).__name__}: {int(found)} different '
            f'sample_idx, but {len(loader.dataset)} images. The features of '
            'each image are needed once: take a dataset that is not '
            'concatenated or repeated, drop no last batch, and keep '
            "`sample_idx` among PackInputs' meta_keys.")
