"""Parts of a model that are not trained."""
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

    Their parameters get no gradient. They are in evaluation mode at every
    step, so that batch norm keeps its statistics and nothing is dropped. The
    ``frozen_stages`` of mmpretrain's backbones leave something out in some
    (the last convolution of MobileNetV2), and do not exist in others
    (TIMMBackbone). With several processes the config needs
    ``find_unused_parameters = True``.

    Args:
        parts (Sequence[str]): Their names in the model. Defaults to
            ('backbone',).

    Raises:
        ValueError: Before the first step, if the model has no such part, or
            nothing else that learns, or several processes would wait for the
            gradients of frozen parts.

    Example:
        >>> default_hooks = dict(frozen_parts=dict(type='FrozenPartsHook'))
        >>> find_unused_parameters = True
    """

    # Before RunSummaryHook, which counts the parameters that learn.
    priority = 'HIGH'

    def __init__(self, parts: Sequence[str] = ('backbone', )) -> None:
        self.parts = [parts] if isinstance(parts, str) else list(parts)

    def before_train(self, runner: Runner) -> None:
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
        settings = runner.cfg.get('model', {})
        pretrained = any(pretrained_parts(model)) or any(
            settings.get(part, {}).get('pretrained')  # of timm's models
            for part in self.parts)
        if not (runner.iter or runner._load_from or pretrained):
            runner.logger.warning(
                'FrozenPartsHook: the config names no pretrained weights, so '
                f'{", ".join(self.parts)} stays random. Give them with '
                '`tools/train.py CONFIG --weights FILE`.')

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        # At every step, as train loops call model.train() again.
        for part in self._frozen:
            if part.training:
                part.eval()

    def after_train(self, runner: Runner) -> None:
        self._frozen = []
