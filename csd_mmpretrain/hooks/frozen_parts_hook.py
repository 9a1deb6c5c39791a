"""Parts of a model that stay as they are during a training."""
from typing import Sequence

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.checkpoints.pretrained import pretrained_parts
from csd_mmpretrain.utils.unwrap import unwrap


@HOOKS.register_module()
class FrozenPartsHook(Hook):
    """Freeze whole parts of a model, such as the backbone of a linear probe.

    Their parameters get no gradient, and they are in evaluation mode at every
    step, so that batch norm keeps its statistics and nothing is dropped. The
    ``frozen_stages`` of mmpretrain's backbones leave something out in some
    (the last convolution of MobileNetV2), and are not there in others
    (TIMMBackbone). With several processes the config needs
    ``find_unused_parameters = True``.

    Args:
        parts (Sequence[str]): Their names in the model. Defaults to
            ('backbone',).

    Raises:
        ValueError: Before the first step, if the model has no such part, or
            nothing else that learns, or several processes would wait for the
            gradients of frozen parts.

    Source: choice.

    Example:
        ::

            default_hooks = dict(frozen_parts=dict(type='FrozenPartsHook'))
            find_unused_parameters = True
    """

    # Before RunSummaryHook, which tells how many parameters learn.
    priority = 'HIGH'

    def __init__(self, parts: Sequence[str] = ('backbone', )) -> None:
        self.parts = [parts] if isinstance(parts, str) else list(parts)

    def before_train(self, runner: Runner) -> None:
        """Freeze the parts.

        Args:
            runner (Runner): The runner of the training.
        """
        if not getattr(runner.model, 'find_unused_parameters', True):
            raise ValueError(
                'FrozenPartsHook: several processes would wait for the '
                'gradients of the frozen parts. Write '
                '`find_unused_parameters = True` into the config.')
        model = unwrap(runner.model)
        named = dict(model.named_modules())
        missing = [part for part in self.parts if not named.get(part)]
        if missing:
            raise ValueError(
                f'FrozenPartsHook: {type(model).__name__} has no part '
                f'{missing[0]!r}. Choose among '
                f'{", ".join(name for name, _ in model.named_children())}.')
        self._frozen = [named[part] for part in self.parts]
        for part in self._frozen:
            part.requires_grad_(False)
        if not any(param.requires_grad for param in model.parameters()):
            raise ValueError(
                f'FrozenPartsHook: with {", ".join(self.parts)} frozen, '
                'nothing learns. Leave a part out.')
        loaded = {name for name, _, _ in pretrained_parts(model)}
        loaded |= {  # how timm's models are asked for weights
            part for part in self.parts
            if runner.cfg.get('model', {}).get(part, {}).get('pretrained')
        }
        if not runner.iter and not runner._load_from and not loaded:
            runner.logger.warning(
                'FrozenPartsHook: the config names no pretrained weights, so '
                f'{", ".join(self.parts)} stays random. Give them with '
                '`tools/train.py CONFIG --weights FILE`.')

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Put the parts into evaluation mode, which each epoch ends.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
        """
        for part in self._frozen:
            if part.training:
                part.eval()

    def after_train(self, runner: Runner) -> None:
        """Let go of the parts.

        Args:
            runner (Runner): The runner of the training.
        """
        self._frozen = []
