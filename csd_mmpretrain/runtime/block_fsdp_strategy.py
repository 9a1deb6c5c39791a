"""FSDP for large backbones."""
from functools import partial
from typing import Any, Optional, Sequence, Union

from mmengine._strategy import FSDPStrategy
from mmengine.logging import MMLogger
from mmengine.optim import BaseOptimWrapper
from mmengine.registry import STRATEGIES
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler
from torch.distributed.fsdp.wrap import lambda_auto_wrap_policy

from .short_log_runner import short_log


@STRATEGIES.register_module()
class BlockFSDPStrategy(FSDPStrategy):
    """mmengine's ``FSDPStrategy`` by blocks, with two corrections.

    Weights, gradients and optimizer state are sharded, and each block of the
    backbone is gathered when it runs. Gradients are clipped by their norm
    over all processes, and the optimizer's state is resumed with any torch
    from 2.1 on. A checkpoint holds the whole model in one file. The log is as
    short as that of :class:`ShortLogRunner`.

    Args:
        blocks (Sequence[str]): Classes of the backbone's blocks. A block is
            always called as a whole, unlike the stages of
            ``SwinTransformer`` and heads.
        recompute (bool): Whether to recompute the blocks in the backward
            pass, for less memory; the backbone's ``with_cp=True`` crashes
            under FSDP. Defaults to False.
        state_dict_cfg (str | dict): How checkpoints are kept, see
            ``FSDPStrategy``. Defaults to ``'full'``.
        model_wrapper (dict, optional): Further options of
            ``MMFullyShardedDataParallel``. Defaults to None.
        kwargs: Further options of ``FSDPStrategy``.

    Raises:
        ValueError: For an ``AmpOptimWrapper`` that would scale the loss of
            each process by itself.

    Example:
        ::

            runner_type = 'FlexibleRunner'
            strategy = dict(type='BlockFSDPStrategy', blocks=['SwinBlock'])
    """

    def __init__(self,
                 *,
                 blocks: Sequence[str],
                 recompute: bool = False,
                 state_dict_cfg: Any = 'full',
                 model_wrapper: Optional[dict] = None,
                 **kwargs: Any) -> None:

        def is_block(module: nn.Module) -> bool:
            return type(module).__name__ in blocks

        super().__init__(
            model_wrapper=dict(
                type='MMFullyShardedDataParallel',
                auto_wrap_policy=partial(
                    lambda_auto_wrap_policy, lambda_fn=is_block),
                **model_wrapper or {}),
            state_dict_cfg=state_dict_cfg,
            activation_checkpointing=dict(
                check_fn=is_block) if recompute else None,
            **kwargs)

    def build_logger(self,
                     log_level: Union[int, str] = 'INFO',
                     **kwargs: Any) -> MMLogger:
        return short_log(super().build_logger(log_level, **kwargs), log_level)

    def build_optim_wrapper(
            self,
            optim_wrapper: Any,
            model: Optional[nn.Module] = None) -> BaseOptimWrapper:
        built = super().build_optim_wrapper(optim_wrapper, model)
        scaler = getattr(built, 'loss_scaler', None)
        if scaler is not None and not isinstance(scaler, ShardedGradScaler):
            raise ValueError(
                'optim_wrapper: AmpOptimWrapper scales the loss of each '
                "process by itself, but FSDP adds up their gradients. Set "
                "type='BFloat16OptimWrapper', as --amp does, or "
                'use_fsdp=True.')
        if getattr(built, 'clip_func', None) is nn.utils.clip_grad_norm_:
            # That one would take the norm of this process's shards.
            built.clip_func = lambda _, **kw: model.clip_grad_norm_(**kw)
        return built

    def load_optim_state_dict(self, state_dict: dict) -> None:
        # mmengine passes them in the order of torch before 2.1.
        self.optim_wrapper.load_state_dict(
            FullyShardedDataParallel.optim_state_dict_to_load(
                model=self.model,
                optim=self.optim_wrapper.optimizer,
                optim_state_dict=state_dict))
