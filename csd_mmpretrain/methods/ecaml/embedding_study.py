"""What confusion brings to an embedding of features that stay as they are."""
from copy import deepcopy
from typing import Dict, List, NamedTuple, Optional

import torch
from mmengine.config import Config
from mmengine.model import BaseModel, initialize
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, set_random_seed
from mmpretrain.registry import MODELS

from csd_mmpretrain.datasets.samplers.pk_sampler import pk_batches
from csd_mmpretrain.evaluation.clustering import (
    clustering_scores,
    kmeans_clusters,
)
from csd_mmpretrain.evaluation.features import (
    LabelledFeatures,
    collect_features,
)
from csd_mmpretrain.evaluation.retrieval import evaluate_protocol
from csd_mmpretrain.evaluation.similarity import unit_features

# What each row changes in the config's `model.head.confusion`.
VARIANTS = {
    'metric loss alone': None,
    'with confusion': {},
    'without row norm': dict(row_norm_weight=0.),
    'row norm alone': dict(loss_weight=0.),
}


class StudyFeatures(NamedTuple):
    """Features of the backbone, those of the training of several views."""

    views: List[LabelledFeatures]
    seen: LabelledFeatures
    unseen: LabelledFeatures


def study_features(cfg: Config, model: BaseModel,
                   num_views: int) -> StudyFeatures:
    """Compute the features that a config's embedding starts from.

    Args:
        cfg (Config): With the hooks ``seen`` and ``unseen``, as the configs
            of ECAML have.
        model (BaseModel): The config's, with its weights.
        num_views (int): Random views of each training image.

    Returns:
        StudyFeatures: Of the neck.

    Raises:
        ValueError: If the config has no such hooks.
    """
    hooks = cfg.get('default_hooks', {})
    if not {'seen', 'unseen'} <= set(hooks):
        raise ValueError(
            'The config has no default_hooks.seen and default_hooks.unseen, '
            'which name the photos to evaluate. Give one of configs/ecaml.')

    def loader(settings: dict) -> torch.utils.data.DataLoader:
        settings = dict(
            settings, sampler=dict(type='DefaultSampler', shuffle=False))
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return Runner.build_dataloader(settings, seed=0)

    train = loader(cfg.train_dataloader)
    views = []
    for view in range(num_views):
        train.batch_sampler.sampler.set_epoch(view)
        views.append(collect_features(model, train, 'neck'))
    return StudyFeatures(views, *(
        collect_features(model, loader(hooks[name].query_dataloader), 'neck')
        for name in ('seen', 'unseen')))


def train_embedding(cfg: Config, views: List[LabelledFeatures],
                    variant: str, lr: float, steps: int,
                    seed: int) -> torch.nn.Module:
    """Train a config's head on features, and nothing else.

    Args:
        cfg (Config): Of ECAML: its head, its batches, and its weight decay
            are taken.
        views (list[LabelledFeatures]): Of each view; each batch takes one.
        variant (str): One of :data:`VARIANTS`.
        lr (float): Adam's rate for the weights; that of the bias is twice as
            large.
        steps (int): Batches.
        seed (int): Of the start and the batches.

    Returns:
        nn.Module: The head.
    """
    set_random_seed(seed)
    settings = deepcopy(cfg.model.head)
    changes = VARIANTS[variant]
    settings['confusion'] = None if changes is None else dict(
        settings['confusion'], **changes)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        head = MODELS.build(settings)
    initialize(head, head.init_cfg)  # init_weights would log it each time
    head.to(views[0].features)
    sampler = cfg.train_dataloader.sampler
    labels = views[0].labels
    batches = torch.from_numpy(pk_batches(
        labels.cpu().numpy(), sampler.num_classes, sampler.num_images, steps,
        seed, 0)).flatten(1).to(labels.device)
    optimizer = torch.optim.Adam(
        [dict(params=[head.fc.weight]),
         dict(params=[head.fc.bias], lr=2 * lr)],
        lr=lr,
        weight_decay=cfg.optim_wrapper.optimizer.get('weight_decay', 0.))
    for step, batch in enumerate(batches):
        losses = head.compare(
            views[step % len(views)].features[batch], labels[batch])
        optimizer.zero_grad()
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        optimizer.step()
    return head


@torch.no_grad()
def judge(features: StudyFeatures,
          head: Optional[torch.nn.Module] = None) -> Dict[str, float]:
    """Retrieve and cluster photos of seen and of unseen classes.

    Args:
        features (StudyFeatures): Of the backbone.
        head (nn.Module, optional): The embedding. Defaults to None, the
            features themselves.

    Returns:
        dict[str, float]: In per cent: ``seen R@1``, ``unseen R@1``, ``R@2``,
        ``R@4``, ``R@8`` and ``NMI``; ``length``, the mean of |z|.
    """
    scores = {}
    for name in ('seen', 'unseen'):
        x, labels = getattr(features, name)
        z = x if head is None else head.pre_logits((x, ))
        images = LabelledFeatures(z, labels)
        recall = evaluate_protocol(
            'leave-one-out', images, images, ranks=(1, 2, 4, 8)).recall
        scores[f'{name} R@1'] = 100 * recall[1]
    scores.update({f'R@{k}': 100 * recall[k] for k in (2, 4, 8)})
    numbers = labels.cpu().numpy()
    clusters = kmeans_clusters(
        unit_features('unseen', z).cpu().numpy(), len(set(numbers)))
    scores['NMI'] = 100 * clustering_scores(numbers, clusters).nmi
    scores['length'] = z.norm(dim=1).mean().item()
    return scores
