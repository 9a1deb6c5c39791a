"""ST-ProtoPNet's head: two branches of prototypes whose logits add up."""
import warnings
from typing import Any, Dict, Iterator, List, Optional, Tuple

import torch
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.layers.feature_map import check_layout, to_feature_map
from csd_mmpretrain.layers.gather import batch_share

from .objective import (
    closeness,
    cluster,
    discrimination,
    off_class_l1,
    orthogonality,
    separation,
)
from .prototype_branch import FORMS, PrototypeBranch

BRANCHES = ('trivial', 'support')
TERMS = ('ce', 'cluster', 'separation', 'orthogonality', 'discrimination',
         'closeness', 'l1')
OF_IMAGES = TERMS[:3]


@MODELS.register_module()
class STProtoPNetHead(ClsHead):
    r"""Classify by prototypes: this part looks like that part of a photo.

    Each branch turns the backbone's map into one of D channels, compares its
    cells with prototypes of length 1, takes the largest similarity of each,
    and sums these up by class. *Trivial* prototypes are typical of their
    class, *support* prototypes lie near the boundary to others. The logits of
    both are added, and ``predict`` gives the softmax of the sum.

    A branch's loss is :math:`L_{ce} - w_1 L_{cluster} + w_2 L_{separation} +
    w_3 L_{orthogonality} + w_4 L_{discrimination\,|\,closeness} + w_5
    L_{l1}`. The branches take turns, one optimizer step each; the backbone
    learns from both. ``PrototypeHook`` owns the schedule.

    Args:
        num_classes (int): C.
        in_channels (int): Channels of the backbone's map.
        num_prototypes (int): K, prototypes of a class in each branch.
            Defaults to 5.
        channels (int): D. Defaults to 64.
        form (str): ``'full'``, for whole images: the map is enlarged, and a
            similarity is the cosine, no less than 0. ``'cropped'``, for
            images cropped to the object: with tanh, and the similarity is the
            projection on the prototype. Defaults to ``'full'``.
        upsample (int, optional): How often the full form enlarges the map.
            Defaults to None: 2, and 1 in the cropped form.
        layout (str): Of the backbone's last output: ``'nchw'``, ``'nhwc'`` or
            ``'tokens'``. Defaults to ``'nchw'``.
        num_prefix_tokens (int): Leading tokens of ``'tokens'``. Defaults
            to 0.
        cluster_weight (float): Defaults to 0.8.
        separation_weights (tuple[float]): Of the trivial and the support
            branch. Defaults to (0.08, 0.48).
        orthogonality_weight (float): Defaults to 1e-3.
        boundary_weight (float): Of discrimination and closeness. Defaults
            to 1.0.
        l1_weight (float): Defaults to 1e-4.
        alternate (bool): Whether the branches take turns; else both learn
            from each batch (choice). Defaults to True.
        loss (dict, optional): The classification loss. Defaults to None, the
            cross entropy.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Attributes:
        steps (Tensor): Optimizer steps so far, in the state of the model.

    Raises:
        ValueError: If an argument has an impossible value.

    Source: ST-ProtoPNet (arXiv 2301.04011) and its code.

    Example:
        ::

            model = dict(
                type='ImageClassifier',
                backbone=dict(type='MobileNetV2'),
                head=dict(
                    type='STProtoPNetHead', num_classes=81,
                    in_channels=1280))
            default_hooks = dict(prototypes=dict(
                type='PrototypeHook', warm_epochs=5, push_epochs=(20, ),
                tune_epochs=10))
    """

    takes_map = True

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 num_prototypes: int = 5,
                 channels: int = 64,
                 form: str = 'full',
                 upsample: Optional[int] = None,
                 layout: str = 'nchw',
                 num_prefix_tokens: int = 0,
                 cluster_weight: float = 0.8,
                 separation_weights: Tuple[float, float] = (0.08, 0.48),
                 orthogonality_weight: float = 1e-3,
                 boundary_weight: float = 1.0,
                 l1_weight: float = 1e-4,
                 alternate: bool = True,
                 loss: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            loss=loss or dict(type='CrossEntropyLoss'), init_cfg=init_cfg)
        if form not in FORMS:
            raise ValueError(f'STProtoPNetHead: unknown form={form!r}; choose '
                             f'one of {", ".join(FORMS)}.')
        if num_classes < 2:
            raise ValueError(
                f'STProtoPNetHead: num_classes={num_classes}, but prototypes '
                'are told from those of other classes. Give at least 2.')
        if num_prototypes < 1:
            raise ValueError(f'STProtoPNetHead: num_prototypes='
                             f'{num_prototypes} of a class; give at least 1.')
        if upsample is None:
            upsample = 2 if form == 'full' else 1
        if upsample < 1 or (upsample > 1 and form == 'cropped'):
            raise ValueError(
                f'STProtoPNetHead: upsample={upsample} in the {form} form. '
                'The full form enlarges the map by 1, 2 or more; the cropped '
                'form leaves it as it is (1).')
        check_layout('STProtoPNetHead', layout, num_prefix_tokens)
        if num_prototypes > channels:
            warnings.warn(
                f'STProtoPNetHead: num_prototypes={num_prototypes} of a '
                f'class cannot be orthogonal in channels={channels}. Give '
                'fewer prototypes or more channels.', stacklevel=2)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.num_prototypes = num_prototypes
        self.layout = layout
        self.num_prefix_tokens = num_prefix_tokens
        self.alternate = alternate
        self.weights = {
            name: dict(
                ce=1.,
                cluster=-cluster_weight,
                separation=weight,
                orthogonality=orthogonality_weight,
                discrimination=boundary_weight,
                closeness=boundary_weight,
                l1=l1_weight)
            for name, weight in zip(BRANCHES, separation_weights)}
        for name in BRANCHES:
            self.add_module(name, PrototypeBranch(
                in_channels, num_classes, num_prototypes, channels, form,
                upsample))
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))
        # Beside the tensor, so that no step waits for a GPU.
        self._steps = 0

    @classmethod
    def plain_settings(cls, settings: dict) -> dict:
        """Give the settings of a linear head, see :mod:`utils.protocol`."""
        return dict(
            type='LinearClsHead',
            num_classes=settings['num_classes'],
            in_channels=settings['in_channels'])

    def describe(self) -> Dict[str, str]:
        """Write prototypes and objective, for the run's header."""
        branch = self.trivial
        lines = dict(prototypes=(
            f'{len(BRANCHES)} branches of {self.num_classes} x '
            f'{self.num_prototypes}, {branch.prototypes.size(1)} channels, '
            f'{branch.form} form'))
        for name, weights in self.weights.items():
            other = {'trivial': 'closeness', 'support': 'discrimination'}
            lines[f'{name} loss'] = ' + '.join(
                f'{weight:g} x {term}' for term, weight in weights.items()
                if term != other[name]).replace('+ -', '- ')
        return lines

    def branches(self) -> Iterator[Tuple[str, PrototypeBranch]]:
        """Give the branches with their names, the trivial one first."""
        return ((name, getattr(self, name)) for name in BRANCHES)

    def active(self) -> Tuple[str, ...]:
        """Name the branches whose turn it is."""
        if not self.alternate:
            return BRANCHES
        return (BRANCHES[self._steps % len(BRANCHES)], )

    def finish_step(self) -> None:
        """Count an optimizer step, and give what it moved its length back.

        Called after each step of the optimizer, before gradients are cleared.
        """
        self.steps += 1
        self._steps += 1
        for _, branch in self.branches():
            if branch.prototypes.grad is not None:
                branch.unit_length()

    def feature_map(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Bring the backbone's last output to (B, in_channels, h, w)."""
        return to_feature_map(
            feats[-1], self.layout, self.num_prefix_tokens)

    def branch_maps(
            self, feats: Tuple[torch.Tensor]) -> Dict[str, torch.Tensor]:
        """Compute the map of each branch, (B, D, h, w), in full precision."""
        x = self.feature_map(feats)
        with torch.autocast(x.device.type, enabled=False):
            return {name: branch(x.to(branch.prototypes.dtype))
                    for name, branch in self.branches()}

    def branch_logits(
            self, feats: Tuple[torch.Tensor]) -> Dict[str, torch.Tensor]:
        """Compute the logits of each branch, (B, C)."""
        features = self.branch_maps(feats)
        with torch.autocast(feats[-1].device.type, enabled=False):
            return {
                name: branch.last_layer(branch.activations(features[name])[0])
                for name, branch in self.branches()}

    def pre_logits(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Compute the activations of both branches, (B, 2 * C * K)."""
        features = self.branch_maps(feats)
        with torch.autocast(feats[-1].device.type, enabled=False):
            return torch.cat([branch.activations(features[name])[0]
                              for name, branch in self.branches()], 1)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Compute the summed logits, (B, C)."""
        return sum(self.branch_logits(feats).values())

    def predict(
        self,
        feats: Tuple[torch.Tensor],
        data_samples: Optional[List[Optional[DataSample]]] = None
    ) -> List[DataSample]:
        """Predict with both branches; what each would say stands beside it.

        Args:
            feats (tuple[Tensor]): The backbone's outputs.
            data_samples (list[DataSample], optional): To be completed.
                Defaults to None, new ones.

        Returns:
            list[DataSample]: With ``pred_score`` and ``pred_label`` of the
            sum, ``trivial_label`` and ``support_label``.
        """
        logits = self.branch_logits(feats)
        samples = self._get_predictions(sum(logits.values()), data_samples)
        for name, scores in logits.items():
            for sample, label in zip(samples, scores.argmax(1, True)):
                sample.set_field(label, f'{name}_label')
        return samples

    def loss(self, feats: Tuple[torch.Tensor],
             data_samples: List[DataSample]) -> Dict[str, torch.Tensor]:
        """Compute the loss of the branch whose turn it is.

        Args:
            feats (tuple[Tensor]): The backbone's outputs.
            data_samples (list[DataSample]): B of them, one label each.

        Returns:
            dict: ``loss_ce``, ``loss_cluster``, ... with their weights, and
            ``trivial_ce``, ``support_ce``, ... without, for the log.

        Raises:
            ValueError: If the labels are mixed.
        """
        if 'gt_score' in data_samples[0]:
            raise ValueError(
                'STProtoPNetHead: cluster and separation need one label per '
                'image, but the batch carries mixed labels (`gt_score`). '
                'Switch Mixup and CutMix off: `--cfg-options '
                'model.train_cfg=None data_preprocessor.batch_augments=None '
                'data_preprocessor.to_onehot=False`, or the same in the '
                'config.')
        labels = torch.cat([sample.gt_label for sample in data_samples])
        x = self.feature_map(feats)
        active, found = self.active(), {}
        with torch.autocast(x.device.type, enabled=False):
            for name in BRANCHES:
                with torch.set_grad_enabled(
                        torch.is_grad_enabled() and name in active):
                    found[name] = self._terms(name, x, labels)
        nothing = found[active[0]]['ce'].new_zeros(())
        share = batch_share(len(labels), nothing)
        losses = {}
        for term in TERMS:
            loss = sum((self.weights[name][term] * found[name][term]
                        for name in active if term in found[name]), nothing)
            losses[f'loss_{term}'] = (
                share * loss if term in OF_IMAGES else loss)
        for name in BRANCHES:
            losses.update({f'{name}_{term}': value.detach()
                           for term, value in found[name].items()})
        return losses

    def _terms(self, name: str, x: torch.Tensor,
               labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        branch, number = getattr(self, name), self.num_classes
        prototypes, weight = branch.prototypes, branch.last_layer.weight
        activation, closest = branch.activations(
            branch(x.to(prototypes.dtype)))
        terms = dict(
            ce=self.loss_module(branch.last_layer(activation), labels),
            cluster=cluster(closest, labels, number),
            separation=separation(closest, labels, number),
            orthogonality=orthogonality(prototypes, number),
            l1=off_class_l1(weight, number))
        if name == 'trivial':
            terms['discrimination'] = discrimination(prototypes, number)
        else:
            terms['closeness'] = closeness(prototypes, number)
        return terms

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._steps = int(self.steps)
