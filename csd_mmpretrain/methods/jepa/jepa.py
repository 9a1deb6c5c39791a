"""JEPA: a context encoder, its moving average, and a predictor."""
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from csd_mmpretrain.layers.ema_teacher import EMATeacher
from csd_mmpretrain.layers.gather import batch_share
from csd_mmpretrain.layers.token_trunk import TokenTrunk

from .batch_draws import BatchDraws
from .masked_smooth_l1 import masked_smooth_l1
from .positions import sincos_positions
from .regions import saliency
from .sequence import Targets
from .step_plan import StepPlan, plan_step

MIN_GRID = 16


@MODELS.register_module()
class JEPA(BaseSelfSupervisor):
    """Joint-Embedding Predictive Architecture.

    The context encoder sees some patches of an image, the target encoder, its
    exponential moving average, all of them. The predictor gives the target
    encoder's features of other patches. Which patches are context and which
    are targets is the say of ``target_generator``: random blocks
    (``BlockTargets``, I-JEPA), or salient regions in order
    (``RegionTargets``, DSeq-JEPA). ``JEPAHook`` moves the target encoder.

    Outside training, ``extract_feat`` gives the target encoder's patches.

    Args:
        backbone (dict): A plain vision transformer of mmpretrain with
            ``out_type='raw'``. Its positions become fixed sines and cosines.
        neck (dict): A ``JEPAPredictor``.
        target_generator (dict): ``BlockTargets`` or ``RegionTargets``.
        beta (float): Of the smooth L1 loss. Defaults to 1.
        seed (int): Of the masks, with the iteration. Defaults to 0.
        data_preprocessor (dict, optional): Defaults to None, mmpretrain's
            ``SelfSupDataPreprocessor``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        TypeError, ValueError: If the parts do not fit each other, see the
            message.

    Source: I-JEPA (Assran et al., CVPR 2023); DSeq-JEPA (arXiv 2511.17354).

    Example:
        ::

            model = dict(
                type='JEPA',
                backbone=dict(
                    type='VisionTransformer', arch='deit-small',
                    img_size=224, patch_size=16, out_type='raw'),
                neck=dict(type='JEPAPredictor', in_channels=384),
                target_generator=dict(type='RegionTargets'))
            custom_hooks = [dict(type='JEPAHook')]
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 target_generator: dict,
                 beta: float = 1.0,
                 seed: int = 0,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            target_generator=target_generator,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        self.beta = beta
        self.seed = seed
        self._step = None
        self._grid = None  # the last one that was checked
        self._check()
        self.backbone.pos_embed.requires_grad_(False)
        self.teacher = EMATeacher(self._student())
        self._register_load_state_dict_pre_hook(self._complete_teacher)

    def _student(self) -> Dict[str, nn.Module]:
        return dict(backbone=self.backbone)

    def _check(self) -> None:
        trunk = TokenTrunk(self.backbone)
        if not hasattr(self.backbone, 'out_type'):
            raise TypeError(
                f'JEPA: the backbone is a {type(self.backbone).__name__}, but '
                'its positions are set as those of mmpretrain. Use '
                "dict(type='VisionTransformer', arch=..., out_type='raw').")
        width = self.backbone.embed_dims
        if self.backbone.out_type != 'raw':
            raise ValueError(
                f'JEPA: backbone.out_type={self.backbone.out_type!r} gives '
                "no tokens. Set model.backbone.out_type='raw'.")
        if self.neck.in_channels != width:
            raise ValueError(
                f'JEPA: neck.in_channels={self.neck.in_channels}, but the '
                f'backbone has {width} channels. Set in_channels={width}.')
        self._check_grid(self.backbone.patch_embed.init_out_size)
        if not self.target_generator.needs_saliency:
            return
        if trunk.cls_token is None:
            raise ValueError(
                'JEPA: regions come from what the class token looks at, but '
                'the backbone has none. Set with_cls_token=True.')
        block = self.target_generator.block
        if not 0 <= block < len(trunk.blocks):
            raise ValueError(
                f'JEPA: target_generator.block={block}, but the backbone has '
                f'blocks 0 to {len(trunk.blocks) - 1}. The last but one is '
                f'{max(len(trunk.blocks) - 2, 0)}.')

    def _check_grid(self, grid: Tuple[int, int]) -> None:
        if grid == self._grid:
            return
        if grid[0] * grid[1] < MIN_GRID:
            raise ValueError(
                f'JEPA: the grid of {grid[0]} x {grid[1]} patches is too '
                f'small: at least {MIN_GRID} patches are needed. Take larger '
                'images or smaller patches.')
        self.target_generator.check_grid(grid)
        self._grid = grid

    def init_weights(self) -> None:
        super().init_weights()
        backbone = self.backbone
        if (backbone.init_cfg or {}).get('type') != 'Pretrained':
            table = sincos_positions(backbone.patch_embed.init_out_size,
                                     backbone.embed_dims)
            # DeiT3 has no position for its class token.
            prefix = backbone.pos_embed.size(1) - len(table)
            backbone.pos_embed.data.copy_(F.pad(table, (0, 0, prefix, 0)))
            if backbone.num_extra_tokens:
                nn.init.trunc_normal_(backbone.cls_token, std=0.02)
        self.teacher.restart(self._student())

    def train(self, mode: bool = True) -> 'JEPA':
        super().train(mode)
        self.teacher.follow_mode(self._student())
        return self

    def update_teacher(self, momentum: float) -> None:
        """Move the target encoder, see ``EMATeacher``.

        Args:
            momentum (float): Fraction of its own weights.
        """
        self.teacher.follow(self._student(), momentum)

    def start_step(self, iteration: int, progress: float) -> None:
        """Tell where the training is, from which the masks follow.

        Args:
            iteration (int): The step, from 0.
            progress (float): Of the training, 0 to 1.
        """
        self._step = (iteration, progress)

    def extract_feat(self, inputs: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        """Compute the map (B, D, h, w) of the target encoder's patches.

        Its mean is the feature of an image; the class token is none, as no
        loss asks anything of it.

        Args:
            inputs (Tensor): (B, 3, H, W), preprocessed images.

        Returns:
            tuple[Tensor]: One map.
        """
        trunk = TokenTrunk(self.teacher['backbone'])
        tokens = self.teacher['backbone'](inputs)[-1]
        tokens = tokens[:, trunk.num_prefix_tokens:]
        return (tokens.mT.unflatten(2, trunk.grid(inputs)), )

    @torch.no_grad()
    def look(self, images: torch.Tensor) -> Tuple[torch.Tensor, Optional[
            torch.Tensor]]:
        """Show whole images to the target encoder.

        Args:
            images (Tensor): (B, 3, H, W), preprocessed.

        Returns:
            tuple[Tensor, Tensor | None]: (B, hw, D), its normalized features
            in single precision at least; and (B, hw), the saliency, where the
            target generator needs one.
        """
        trunk = TokenTrunk(self.teacher['backbone'])
        prefix = trunk.num_prefix_tokens
        with _output(trunk.blocks, self.target_generator) as outputs:
            tokens = self.extract_feat(images)[0].flatten(2).mT
        tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
        features = F.layer_norm(tokens, tokens.shape[-1:])
        if not outputs:
            return features, None
        rated = trunk.norm(outputs[0])
        query = trunk.cls_token[0, 0]
        if self.target_generator.query == 'token':
            query = rated[:, 0]
        return features, saliency(rated[:, prefix:], query.to(rated))

    def targets(self,
                images: torch.Tensor,
                scores: Optional[torch.Tensor],
                step: Optional[Tuple[int, float]] = None) -> Targets:
        """Choose contexts and targets of images, see ``target_generator``.

        Args:
            images (Tensor): (B, 3, H, W).
            scores (Tensor, optional): (B, hw), saliency.
            step (tuple[int, float], optional): The step, and how far the
                training is. Defaults to None, as :meth:`start_step` told.

        Returns:
            Targets: Of the B images.

        Raises:
            RuntimeError: If no hook told the step.
            ValueError: If the images are too small for the targets.
        """
        step = step or self._step
        if step is None:
            raise RuntimeError(
                'JEPA: nothing moves the target encoder. Add '
                "dict(type='JEPAHook') to `custom_hooks`.")
        iteration, progress = step
        grid = TokenTrunk(self.backbone).grid(images)
        self._check_grid(grid)
        return self.target_generator(
            BatchDraws(self.seed, iteration, len(images)), grid, progress,
            scores)

    def loss(self, inputs: Union[torch.Tensor, List[torch.Tensor]],
             data_samples: List[DataSample]) -> Dict[str, torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            inputs (Tensor | list[Tensor]): (B, 3, H, W), one view.
            data_samples (list[DataSample]): Not used.

        Returns:
            dict: ``loss_jepa``; what is logged: ``context_share`` and
            ``target_share`` (mean fraction of the grid), ``steps_mean``
            (predictions per image), ``target_deviation`` (of the pooled
            target features between images; 0: collapse), and what the target
            generator adds.

        Raises:
            ValueError: If there are several views.
        """
        inputs = _only_view(inputs)
        features, scores = self.look(inputs)
        targets = self.targets(inputs, scores)
        pooled = F.normalize(features.mean(1), dim=-1)
        deviation = pooled.std(0, correction=0).mean()
        return dict(
            loss_jepa=self._predict(inputs, features, targets),
            target_deviation=deviation,
            **_shares(targets),
            **self.target_generator.logged)

    def network_passes(
        self, inputs: Union[torch.Tensor, List[torch.Tensor]]
    ) -> Callable[[], torch.Tensor]:
        """Prepare the passes of a step, without what lies between them.

        Args:
            inputs (Tensor | list[Tensor]): As of :meth:`loss`.

        Returns:
            Callable: It shows the images to the target encoder and their
            contexts to the encoder and the predictor, and gives a scalar.
        """
        images = _only_view(inputs)
        _, scores = self.look(images)
        plan = plan_step(self.targets(images, scores), images.device)

        def passes() -> torch.Tensor:
            with torch.no_grad():
                self.extract_feat(images)
            return self._run(images, plan).mean()

        return passes

    def _predict(self, images: torch.Tensor, features: torch.Tensor,
                 targets: Targets) -> torch.Tensor:
        """Encode each context once and predict its targets."""
        plan = plan_step(targets, images.device)
        if plan is None:  # all parameters take part, as DDP expects
            return sum(p.sum() * 0. for p in self.parameters()
                       if p.requires_grad)
        wanted = _take(features[plan.image[plan.pair]], plan.target)
        loss = masked_smooth_l1(
            self._run(images, plan), wanted, plan.target_valid, self.beta)
        return loss * batch_share(plan.count, loss)

    def _run(self, images: torch.Tensor, plan: StepPlan) -> torch.Tensor:
        """Compute the predictions (T, m, D) of a step's targets."""
        tokens = self._encode(
            images[plan.image], plan.context, plan.context_valid)
        return self.neck(
            tokens[plan.pair], plan.context[plan.pair],
            plan.context_valid[plan.pair], plan.target, plan.target_valid,
            TokenTrunk(self.backbone).grid(images))

    def _encode(self, images: torch.Tensor, index: torch.Tensor,
                valid: torch.Tensor) -> torch.Tensor:
        """Compute the features of some patches, which see nothing else."""
        trunk = TokenTrunk(self.backbone)
        with trunk.keep(index, valid):
            tokens = self.backbone(images)[-1]
        return _take(tokens[:, trunk.num_prefix_tokens:], index)

    def _complete_teacher(self, state_dict: dict, prefix: str, *_) -> None:
        self.teacher.complete(state_dict, prefix)


def _only_view(
        inputs: Union[torch.Tensor, List[torch.Tensor]]) -> torch.Tensor:
    if isinstance(inputs, torch.Tensor):
        return inputs
    if len(inputs) != 1:
        raise ValueError(
            f'JEPA takes one view of an image, but the pipeline gives '
            f'{len(inputs)}. Remove MultiView from it.')
    return inputs[0]


def _take(tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Get (B, k, D), the tokens at (B, k) places."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.size(2)))


def _shares(targets: Targets) -> Dict[str, torch.Tensor]:
    valid = targets.valid
    return dict(
        context_share=_mean(targets.context, valid.any(-1)),
        target_share=_mean(targets.target, valid),
        steps_mean=valid.sum() / len(valid))


def _mean(masks: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Average the part of the grid that valid masks cover."""
    return (masks.float().mean(-1) * valid).sum() / valid.sum().clamp(min=1)


@contextmanager
def _output(blocks: nn.ModuleList,
            target_generator) -> Iterator[List[torch.Tensor]]:
    """Keep the output of the block whose tokens are rated, if any."""
    outputs = []
    if not target_generator.needs_saliency:
        yield outputs
        return
    handle = blocks[target_generator.block].register_forward_hook(
        lambda *args: outputs.append(args[-1]))
    with handle:
        yield outputs
