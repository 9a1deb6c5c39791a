"""Checks of gradient checkpointing where a backbone runs twice a step."""
from operator import attrgetter
from typing import List, Sequence, Union

from mmengine.model import is_model_wrapper
from torch import nn

from csd_mmpretrain.layers.view_norm import active_batch_norms
from csd_mmpretrain.utils.unwrap import unwrap
from csd_mmpretrain.utils.wording import first_names


def check_recomputation(model: nn.Module,
                        modules: Union[str, Sequence[str]] = (),
                        norm: str = 'shared') -> None:
    """Refuse gradient checkpointing that two views do not survive.

    Args:
        model (nn.Module): The model that trains with two views, with its
            wrapper; set to training mode here.
        modules (str | Sequence[str]): The config's
            ``activation_checkpointing``. Defaults to ().
        norm (str): That of ``SSDPHook``. Defaults to ``'shared'``.

    Raises:
        ValueError: If the wrapper of several processes lacks the settings for
            it, the second view would be recomputed with other statistics than
            it had, or the layer that takes the images would get no gradient.

    Source: seen with torch 2.15. mmpretrain and mmengine use torch's
    reentrant kind, where each recomputation hands DDP a gradient of its own,
    and which FSDP's freed weights do not survive.
    """
    bare = unwrap(model)
    modules = [modules] if isinstance(modules, str) else modules
    inside, outside = _flagged(bare), _wrapped(bare)
    names = [*modules, *inside, *outside]
    if not names:
        return
    found = f'Gradient checkpointing is on ({first_names(names, 2)})'
    static = getattr(model, 'static_graph', False)
    if (len(names) > len(outside) and is_model_wrapper(model)
            and (not static or model.broadcast_buffers)):
        raise ValueError(
            f'{found}, and the backbone runs more than once a step. '
            'In several processes this needs\n'
            "    model_wrapper_cfg = dict(type='MMDistributedDataParallel', "
            'static_graph=True, broadcast_buffers=False)\n'
            'in the config. With FSDP, switch it off and set recompute=True '
            'of BlockFSDPStrategy.')
    first = next(bare.backbone.parameters())
    for name in modules:
        if any(first is p for p in attrgetter(name)(bare).parameters()):
            raise ValueError(
                f'activation_checkpointing: {name!r} takes the images '
                'themselves, and would get no gradient. Name its later parts '
                'one by one.')
    bare.backbone.train()
    if norm != 'shared' and active_batch_norms(bare.backbone):
        raise ValueError(
            f"{found}, but SSDPHook(norm='{norm}') treats batch norm in a way "
            'that the recomputation does not know: gradients or statistics '
            "would be wrong. Set default_hooks.ssdp.norm='shared', freeze the "
            "backbone's batch norm (norm_eval=True), or leave checkpointing "
            'out.')


def _flagged(model: nn.Module) -> List[str]:
    """What mmpretrain or timm recomputes inside of its own ``forward``."""
    return [
        name for name, module in model.named_modules()
        if True in (getattr(module, 'with_cp', None),
                    getattr(module, 'grad_checkpointing', None))
    ]


def _wrapped(model: nn.Module) -> List[str]:
    """What torch has wrapped, in the kind that any wrapper survives."""
    return [
        name for name, module in model.named_modules()
        if hasattr(module, '_checkpoint_wrapped_module')
    ]
