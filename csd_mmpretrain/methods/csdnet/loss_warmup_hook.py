"""Linear warm-up of the weights of DDL and SSDT."""
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.utils.unwrap import unwrap


@HOOKS.register_module()
class LossWarmupHook(Hook):
    """Raise the weights of a CSDHead's losses from 0 linearly.

    The weight depends on the step alone, so a resumed run goes on where it
    stopped.

    Args:
        epochs (int): Epochs until alpha and beta have their full value.
            Defaults to 5.

    Raises:
        ValueError: If ``epochs`` is not positive.
        TypeError: Before the first step, if the head has neither loss.

    Source: choice.

    Example:
        ::

            custom_hooks = [dict(type='LossWarmupHook', epochs=10)]
    """

    def __init__(self, epochs: int = 5) -> None:
        if epochs <= 0:
            raise ValueError(f'LossWarmupHook: epochs={epochs} must be a '
                             'positive integer; leave the hook out instead.')
        self.epochs = epochs

    def before_train(self, runner: Runner) -> None:
        head = unwrap(runner.model).head
        losses = (getattr(head, slot, None) for slot in ('contrast',
                                                         'distill'))
        self._full = [(loss, loss.loss_weight) for loss in losses if loss]
        if not self._full:
            raise TypeError('LossWarmupHook: the head has neither `contrast` '
                            'nor `distill` to warm up. Remove the hook, or '
                            'configure one of them in CSDHead.')
        self._steps = self.epochs * len(runner.train_dataloader)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        fraction = min(1., (runner.iter + 1) / self._steps)
        for loss, weight in self._full:
            loss.loss_weight = fraction * weight

    def after_train(self, runner: Runner) -> None:
        for loss, weight in self._full:
            loss.loss_weight = weight
