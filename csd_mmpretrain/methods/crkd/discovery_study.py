"""What class relations bring to discovery on fixed features."""
from copy import deepcopy
from typing import Callable, Dict, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from mmpretrain.registry import MODELS, PARAM_SCHEDULERS

from csd_mmpretrain.checkpoints.bare_model import inner_model
from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.eval_images import eval_loader, eval_pipeline
from csd_mmpretrain.datasets.samples import list_infos
from csd_mmpretrain.evaluation.clustering import (
    clustering_scores,
    discovery_scores,
    kmeans_clusters,
)
from csd_mmpretrain.evaluation.features import (
    LabelledFeatures,
    collect_features,
)
from csd_mmpretrain.evaluation.similarity import unit_features

from .ncd_head import NCDHead
from .novel_discovery_hook import check_classes

# What each row changes in the config's `model.head`.
VARIANTS = {
    'L_cluster alone': dict(kd_weight=0.),
    'with L_KD': {},
    'with L_KD, w = 1': dict(kd_weighted=False),
    'with L_KD, T = 1': dict(kd_temperature=1),
}


class DiscoveryFeatures(NamedTuple):
    """Features of known and novel classes, by the labels of ``NovelClasses``.

    Attributes:
        views (Tensor): (V, N, C), random views of the training photos.
        train (LabelledFeatures): The same photos as a test loads them.
        test (LabelledFeatures): The test photos.
    """

    views: torch.Tensor
    train: LabelledFeatures
    test: LabelledFeatures


def stage_one_config(cfg: Config) -> Config:
    """Make the config of stage 1's model from that of stage 2.

    Args:
        cfg (Config): Of stage 2.

    Returns:
        Config: With an ``ImageClassifier`` of the known classes.

    Raises:
        ValueError: If the model is no ``NovelClassDiscovery``.
    """
    model = inner_model(cfg)
    if model.type != 'NovelClassDiscovery':
        raise ValueError(
            f'The config trains {model.type}, expected NovelClassDiscovery. '
            'Give a config of stage 2, one of configs/crkd.')
    plain = deepcopy(cfg)
    plain.model = dict(
        type='ImageClassifier',
        backbone=model.backbone,
        neck=model.get('neck'),
        head=dict(model.head, num_novel=0))
    return plain


def load_stage_one(cfg: Config, checkpoint: str,
                   device: str = 'cpu') -> BaseModel:
    """Load a stage 1 that has seen no label of the novel classes.

    Args:
        cfg (Config): Of stage 2.
        checkpoint (str): Of stage 1, or weights of the backbone alone.
        device (str): Of the model. Defaults to ``'cpu'``.

    Returns:
        BaseModel: In evaluation mode.

    Raises:
        ValueError: As of :func:`stage_one_config` and :func:`load_model`, or
            if the checkpoint was trained on other known classes.
    """
    loaded = load_model(stage_one_config(cfg), checkpoint, device)
    if loaded.has_classifier:
        check_classes(loaded.classes, inner_model(cfg).head.num_known,
                      build_without_pipeline(cfg.train_dataloader.dataset))
    return loaded.model


def study_features(cfg: Config, model: BaseModel,
                   num_views: int) -> DiscoveryFeatures:
    """Compute the features that discovery starts from.

    Args:
        cfg (Config): Of stage 2: its validation and test data are taken, and
            the random ``train_pipeline`` of stage 1.
        model (BaseModel): With weights.
        num_views (int): Random views of each training photo.

    Returns:
        DiscoveryFeatures: Of the neck.
    """

    def features(split: str, pipeline: Compose,
                 times: int = 1) -> LabelledFeatures:
        settings = cfg[f'{split}_dataloader']
        infos = list_infos(build_without_pipeline(settings.dataset))
        infos = [info for info in infos for _ in range(times)]
        return collect_features(
            model, eval_loader(infos, pipeline, dict(settings, num_workers=0)),
            'neck')

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        load, *augment = Compose(deepcopy(cfg.train_pipeline)).transforms
    set_random_seed(0)
    views = features('val', Compose([_LoadOnce(load), *augment]), num_views)
    plain = eval_pipeline(cfg)
    return DiscoveryFeatures(
        views.features.unflatten(0, (-1, num_views)).transpose(0, 1),
        features('val', plain), features('test', plain))


class _LoadOnce:
    """Decode an image once that comes several times in a row."""

    def __init__(self, load: Callable) -> None:
        self.load = load
        self.path = None

    def __call__(self, results: dict) -> dict:
        if results['img_path'] != self.path:
            self.path = results['img_path']
            self.found = self.load(dict(results))
        return dict(self.found, img=self.found['img'].copy())


def train_heads(cfg: Config, features: DiscoveryFeatures, stage_one: NCDHead,
                changes: dict, seed: int) -> NCDHead:
    """Train the heads of stage 2 on features, and nothing else.

    Args:
        cfg (Config): Of stage 2: head, optimizer, schedule, batch size and
            epochs are taken.
        features (DiscoveryFeatures): Of stage 1's model; labels of novel
            photos are not read.
        stage_one (NCDHead): Of that model, start and teacher.
        changes (dict): Of the config's head, such as one of
            :data:`VARIANTS`.
        seed (int): Of the start and the batches.

    Returns:
        NCDHead: In evaluation mode.
    """
    set_random_seed(seed)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        head = MODELS.build(dict(inner_model(cfg).head, **changes))
    head.known.load_state_dict(stage_one.known.state_dict())
    head.to(features.views)
    settings = dict(cfg.optim_wrapper.optimizer)
    optimizer = getattr(torch.optim, settings.pop('type'))(
        head.parameters(), **settings)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
        for scheduler in cfg.get('param_scheduler') or ()]
    labels, size = features.train.labels, cfg.train_dataloader.batch_size
    novel = labels >= head.num_known
    for _ in range(cfg.train_cfg.max_epochs):
        order = torch.randperm(len(labels), device=labels.device)
        for batch in order[:len(order) // size * size].split(size):
            hidden = novel[batch]
            _step(head, stage_one, optimizer,
                  _two_views(features.views, batch),
                  labels[batch].where(~hidden, 0), hidden.nonzero()[:, 0])
        for scheduler in schedulers:
            scheduler.step()
    return head.eval()


def _two_views(views: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """Draw two different views (2, B, C) of each photo."""
    choice = torch.rand(len(views), len(batch), device=views.device)
    return views[choice.argsort(0)[:2], batch]


def _step(head: NCDHead, teacher: NCDHead, optimizer: torch.optim.Optimizer,
          views: torch.Tensor, labels: torch.Tensor,
          unlabelled: torch.Tensor) -> None:
    relations = None
    if head.kd_weight:
        with torch.no_grad():
            relations = torch.stack(
                [teacher.known_cosines(view[unlabelled]) for view in views])
    losses = head.discover(list(views), labels, unlabelled, 2, relations)
    optimizer.zero_grad()
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    optimizer.step()
    head.normalize_prototypes()


def judge_kmeans(features: DiscoveryFeatures, num_known: int,
                 num_novel: int) -> Dict[str, float]:
    """Cluster the unlabelled photos by k-means.

    Args:
        features (DiscoveryFeatures): Of any model.
        num_known (int): Known classes.
        num_novel (int): Clusters.

    Returns:
        dict[str, float]: ``aware`` and ``NMI``, in per cent.
    """
    x, labels = features.train
    novel = labels >= num_known
    clusters = kmeans_clusters(
        unit_features('unlabelled', x[novel]).cpu().numpy(), num_novel)
    return _aware((labels[novel] - num_known).cpu().numpy(), clusters)


def _aware(labels: np.ndarray, clusters: np.ndarray) -> Dict[str, float]:
    scores = clustering_scores(labels, clusters)
    return {'aware': 100 * scores.accuracy, 'NMI': 100 * scores.nmi}


@torch.no_grad()
def judge_head(features: DiscoveryFeatures, head: NCDHead
               ) -> Dict[str, float]:
    """Judge the heads of stage 2 by both protocols.

    Args:
        features (DiscoveryFeatures): Of stage 1's model.
        head (NCDHead): Trained.

    Returns:
        dict[str, float]: In per cent: ``aware`` and ``NMI`` of the best head
        on unlabelled training photos, ``aware, mean`` over the heads; ``all``,
        ``seen``, ``novel`` and ``seen, plain`` of the best head on test
        photos; and ``entropy`` of class relations, in nats.
    """
    x, labels = features.train
    novel = labels >= head.num_known
    cosines = head.cosines(x[novel])
    truth = (labels[novel] - head.num_known).cpu().numpy()
    best = int(head.head_loss.argmin())
    heads = [_aware(truth, c.argmax(1).cpu().numpy())
             for c in cosines[..., head.num_known:]]
    x, labels = features.test
    found = discovery_scores(
        labels.cpu().numpy(), head((x, )).argmax(1).cpu().numpy(),
        head.num_known)
    log_p = (cosines[0, :, :head.num_known] /
             (head.temperature * head.kd_temperature)).log_softmax(-1)
    return {
        **heads[best],
        'aware, mean': sum(h['aware'] for h in heads) / len(heads),
        'all': 100 * found.all, 'seen': 100 * found.seen,
        'novel': 100 * found.novel, 'seen, plain': 100 * found.seen_plain,
        'entropy': -(log_p.exp() * log_p).sum(-1).mean().item()}
