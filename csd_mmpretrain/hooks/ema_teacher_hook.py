"""The moving average that a student's teacher follows."""
import math
from typing import Optional

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.utils.unwrap import unwrap


@HOOKS.register_module()
class EMATeacherHook(Hook):
    """Move a model's teacher after each step of the optimizer.

    The teacher becomes ``m * teacher + (1 - m) * student``, with m on half a
    cosine over the training. It follows from the iteration, so a resumed
    training goes on where it stopped.

    Args:
        momentum (float): m at the start, the fraction of the teacher's own
            weights. mmengine's ``momentum`` of averages is 1 - m. Defaults to
            0.996.
        end_momentum (float): m at the end. Defaults to 1.0.

    Raises:
        ValueError: If a momentum lies outside [0, 1].
        TypeError: Before the first step, if the model has no
            ``update_teacher(momentum)``.

    Source: the schedule of BYOL (Grill et al. 2020), which DINO uses.

    Example:
        ::

            custom_hooks = [dict(type='EMATeacherHook', momentum=0.996)]
    """

    def __init__(self,
                 momentum: float = 0.996,
                 end_momentum: float = 1.0) -> None:
        for name, value in (('momentum', momentum),
                            ('end_momentum', end_momentum)):
            if not 0 <= value <= 1:
                raise ValueError(
                    f"{type(self).__name__}: {name}={value} is the teacher's "
                    'fraction and must lie in [0, 1].')
        self.momentum = momentum
        self.end_momentum = end_momentum

    def before_train(self, runner: Runner) -> None:
        self._model = unwrap(runner.model)
        if not hasattr(self._model, 'update_teacher'):
            raise TypeError(
                f"{type(self).__name__} moves a model's teacher, but "
                f'{type(self._model).__name__} has no `update_teacher`. '
                'Remove the hook from `custom_hooks`.')

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        if runner.optim_wrapper.should_update():
            self._model.update_teacher(self._momentum_of_step(runner))

    def _momentum_of_step(self, runner: Runner) -> float:
        return cosine(self.momentum, self.end_momentum,
                      runner.iter / runner.max_iters)


def cosine(start: float, end: float, fraction: float) -> float:
    """Go from one value to another on half a cosine.

    Args:
        start (float): The value at ``fraction=0``.
        end (float): The value at ``fraction=1``.
        fraction (float): Of the way, in [0, 1].

    Returns:
        float: The value between them.

    Example:
        >>> [round(cosine(0.996, 1, fraction), 4) for fraction in (0, 0.5, 1)]
        [0.996, 0.998, 1.0]
    """
    return end - (end - start) * (1 + math.cos(math.pi * fraction)) / 2
