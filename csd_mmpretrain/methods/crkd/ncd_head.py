"""A head for known classes and for clusters of novel ones."""
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.layers.gather import batch_share
from csd_mmpretrain.layers.unit_vectors import unit_vectors

from .class_relation_kd import class_relation_kd, known_mass
from .swapped_prediction import swapped_prediction, view_targets

# The fraction of a step's loss in what is remembered of a head.
MEMORY = 0.01


class NovelHead(nn.Module):
    """Compare projected features with prototypes of novel classes.

    Args:
        in_channels (int): Channels C of a feature.
        hidden_channels (int): Of the projection's hidden layer.
        embed_dims (int): D, channels of a prototype.
        num_novel (int): C_u, prototypes.

    Source: UNO (Fini et al., ICCV 2021).
    """

    def __init__(self, in_channels: int, hidden_channels: int,
                 embed_dims: int, num_novel: int) -> None:
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            nn.BatchNorm1d(hidden_channels), nn.ReLU(),
            nn.Linear(hidden_channels, embed_dims))
        self.prototypes = nn.Linear(embed_dims, num_novel, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the cosines, (B, C) to (B, C_u)."""
        return self.prototypes(unit_vectors(self.projection(x)))


@MODELS.register_module()
class NCDHead(ClsHead):
    r"""Cosines with prototypes of known classes, and of novel ones.

    Without novel classes it is a classifier of cosines, trained by cross
    entropy: stage 1. With them, :class:`NovelClassDiscovery` trains it, and
    scores are one softmax over known classes and the clusters of the best
    novel head, which has the lowest moving mean of L_cluster.
    ``NovelDiscoveryHook`` keeps all prototypes at length 1.

    Args:
        num_known (int): C_l, known classes.
        in_channels (int): Channels C of a pooled feature.
        num_novel (int): C_u, clusters of unlabelled photos. Defaults to 0.
        num_heads (int): H, novel heads. Defaults to 2.
        hidden_channels (int): Of a novel head's projection. Defaults to 2048.
        embed_dims (int): Of a novel prototype. Defaults to 256.
        temperature (float): tau, divides cosines. Defaults to 0.1.
        epsilon (float): Of the assignment of photos to clusters. Defaults to
            0.05.
        kd_weight (float): alpha, weight of L_KD; 0 is UNO. Defaults to 0.1.
        kd_temperature (float): T, softens the class relation. Defaults to 4.
        kd_weighted (bool): Whether photos count by their mass on known
            classes in L_KD. Defaults to True.
        **options: Of mmpretrain's ``ClsHead``.

    Attributes:
        head_loss (Tensor): (H,), moving mean of each novel head's L_cluster.

    Raises:
        ValueError: If a number is out of range.

    Source: Cr-KD (Gu et al., ICCV 2023). The moving mean is a choice; the
    released code adds up over the whole training.

    Example:
        ::

            model = dict(
                type='ImageClassifier',
                backbone=dict(type='MobileNetV2'),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='NCDHead', num_known=41, in_channels=1280))
            custom_hooks = [dict(type='NovelDiscoveryHook')]
    """

    def __init__(self,
                 num_known: int,
                 in_channels: int,
                 num_novel: int = 0,
                 num_heads: int = 2,
                 hidden_channels: int = 2048,
                 embed_dims: int = 256,
                 temperature: float = 0.1,
                 epsilon: float = 0.05,
                 kd_weight: float = 0.1,
                 kd_temperature: float = 4,
                 kd_weighted: bool = True,
                 **options) -> None:
        super().__init__(**options)
        for name, value, least in (
                ('num_known', num_known, 1), ('num_novel', num_novel, 0),
                ('num_heads', num_heads, 1)):
            if value < least:
                raise ValueError(f'NCDHead: {name}={value} must be at least '
                                 f'{least}.')
        for name, value in (('temperature', temperature),
                            ('epsilon', epsilon),
                            ('kd_temperature', kd_temperature)):
            if not value > 0:
                raise ValueError(f'NCDHead: {name}={value} divides cosines '
                                 'and must be more than 0.')
        if kd_weight < 0:
            raise ValueError(f'NCDHead: kd_weight={kd_weight} must not be '
                             'negative; 0 leaves L_KD out.')
        self.num_known = num_known
        self.in_channels = in_channels
        self.num_novel = num_novel
        self.temperature = temperature
        self.epsilon = epsilon
        self.kd_weight = kd_weight
        self.kd_temperature = kd_temperature
        self.kd_weighted = kd_weighted
        self.known = nn.Linear(in_channels, num_known, bias=False)
        self.novel = nn.ModuleList()
        if num_novel:
            self.novel.extend(
                NovelHead(in_channels, hidden_channels, embed_dims, num_novel)
                for _ in range(num_heads))
            self.register_buffer('head_loss', torch.zeros(num_heads))
        else:
            self.num_classes = num_known
        self.normalize_prototypes()

    def init_weights(self) -> None:
        super().init_weights()
        self.normalize_prototypes()

    def describe(self) -> Dict[str, str]:
        """Write the objective, for the run's header."""
        if not self.novel:
            return {}
        loss = f'L_cluster of {len(self.novel)} heads'
        if self.kd_weight:
            weighted = '' if self.kd_weighted else ', all photos alike'
            loss += (f' + {self.kd_weight:g} x L_KD '
                     f'(T {self.kd_temperature:g}{weighted})')
        return dict(loss=f'{loss}, tau {self.temperature:g}')

    @torch.no_grad()
    def normalize_prototypes(self) -> None:
        """Divide all prototypes by their length."""
        for layer in (self.known, *(head.prototypes for head in self.novel)):
            layer.weight.copy_(F.normalize(layer.weight))

    def pre_logits(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Give the pooled feature, (B, C).

        Raises:
            ValueError: If it is none of ``in_channels`` channels.
        """
        x = feats[-1]
        if x.dim() != 2 or x.size(1) != self.in_channels:
            raise ValueError(
                f'NCDHead: a feature has the shape {tuple(x.shape[1:])}, '
                f'expected ({self.in_channels}, ), one pooled vector per '
                "image. Add neck=dict(type='GlobalAveragePooling'), of a "
                "vision transformer take out_type='cls_token', or correct "
                'head.in_channels.')
        return x

    def known_cosines(self, x: torch.Tensor) -> torch.Tensor:
        """Compare features (B, C) with the known classes, (B, C_l)."""
        return self.known(unit_vectors(x))

    def novel_cosines(self, x: torch.Tensor) -> torch.Tensor:
        """Compare features (B, C) with the clusters, (H, B, C_u)."""
        return torch.stack([head(x) for head in self.novel])

    def cosines(self, x: torch.Tensor) -> torch.Tensor:
        """Compare features with known classes and clusters.

        Args:
            x (Tensor): (B, C).

        Returns:
            Tensor: (H, B, C_l + C_u).
        """
        novel = self.novel_cosines(x)
        known = self.known_cosines(x).expand(len(novel), -1, -1)
        return torch.cat([known, novel], -1)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Compute logits, (B, C_l) or (B, C_l + C_u) of the best head."""
        x = self.pre_logits(feats)
        if not self.novel:
            return self.known_cosines(x) / self.temperature
        best = self.head_loss.argmin(0, keepdim=True)
        return self.cosines(x).index_select(0, best)[0] / self.temperature

    def loss(self, feats: Tuple[torch.Tensor],
             data_samples: List[DataSample], **options) -> dict:
        """Compute the cross entropy of stage 1.

        Args:
            feats (tuple[Tensor]): The last is (B, C).
            data_samples (list[DataSample]): B, of known classes.
            **options: Of the loss module.

        Returns:
            dict: ``loss``.

        Raises:
            TypeError: If there are novel classes.
        """
        if self.novel:
            raise TypeError(
                'NCDHead: num_novel='
                f'{self.num_novel} clusters are found by '
                "model=dict(type='NovelClassDiscovery', ...), not by "
                'ImageClassifier. Set it, or num_novel=0.')
        return super().loss(feats, data_samples, **options)

    def discover(self,
                 views: List[torch.Tensor],
                 labels: torch.Tensor,
                 unlabelled: torch.Tensor,
                 num_large: int = 2,
                 teacher: Optional[torch.Tensor] = None
                 ) -> Dict[str, torch.Tensor]:
        """Compute the losses of stage 2, over the photos of all processes.

        Args:
            views (list[Tensor]): V features (B, C), the large crops first.
            labels (Tensor): (B,), int64, any number for unlabelled photos.
            unlabelled (Tensor): (M,), int64: places of the unlabelled photos.
            num_large (int): Q, large crops. Defaults to 2.
            teacher (Tensor, optional): (Q, M, C_l): cosines of the teacher
                for the large crops. Defaults to None, no L_KD.

        Returns:
            dict: ``loss_cluster``; ``loss_kd`` with a teacher; ``known_mass``
            of unlabelled photos, and the entropy of their class relation,
            ``relation_entropy``, both of this process.
        """
        student = torch.stack([self.cosines(view) for view in views])
        student = student.to(
            torch.promote_types(student.dtype, torch.float32))
        large = student[:num_large]
        with torch.autocast(student.device.type, enabled=False):
            targets = view_targets(
                large[..., self.num_known:], labels, self.num_known,
                unlabelled, self.epsilon)
            by_head = swapped_prediction(student, targets, self.temperature)
            by_head = by_head * batch_share(len(labels), by_head)
            losses = dict(loss_cluster=by_head.mean())
            hidden = large[:, :, unlabelled]
            soft = self.temperature * self.kd_temperature
            if teacher is not None:
                losses['loss_kd'] = (
                    self.kd_weight * self.kd_temperature**2 *
                    class_relation_kd(teacher.to(hidden), hidden, soft,
                                      self.kd_weighted))
            self._remember(by_head.detach().clone())
            losses.update(relation_statistics(hidden.detach(), self.num_known,
                                              soft))
        return losses

    def _remember(self, by_head: torch.Tensor) -> None:
        all_reduce(by_head, 'mean')
        self.head_loss.lerp_(by_head.to(self.head_loss), MEMORY)


def relation_statistics(cosines: torch.Tensor, num_known: int,
                        temperature: float) -> Dict[str, torch.Tensor]:
    """Tell how much photos have in common with known classes, and with which.

    Args:
        cosines (Tensor): (..., C), floating, of unlabelled photos.
        num_known (int): Known classes.
        temperature (float): Divides the cosines.

    Returns:
        dict[str, Tensor]: ``known_mass`` and ``relation_entropy``, in nats,
        means; 0 without a photo.
    """
    log_p = (cosines[..., :num_known] / temperature).log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    mass = known_mass(cosines, num_known, temperature)
    count = max(mass.numel(), 1)
    return dict(known_mass=mass.sum() / count,
                relation_entropy=entropy.sum() / count)
