"""What changes with time in JEPA: target encoder and curriculum."""
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.hooks.ema_teacher_hook import EMATeacherHook

from .jepa import JEPA


@HOOKS.register_module()
class JEPAHook(EMATeacherHook):
    """Move the target encoder of ``JEPA`` and tell it how far training is.

    The target encoder moves as in ``EMATeacherHook``, but m rises on a line.
    Both m and the fraction of regions reach their end in the last step. All
    of it follows from the iteration, so a resumed training goes on where
    it stopped.

    Args:
        momentum (float): m at the start. Defaults to 0.996.
        end_momentum (float): m at the end. Defaults to 1.0.

    Raises:
        ValueError: If a momentum lies outside [0, 1].
        TypeError: Before the first step, if the model is no ``JEPA``.

    Source: I-JEPA's code.

    Example:
        >>> custom_hooks = [dict(type='JEPAHook', momentum=0.996)]
    """

    views_per_image = 1  # no further ones, but a step does not go without it

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if not isinstance(self._model, JEPA):
            raise TypeError(
                'JEPAHook tells JEPA how far its training is, but the model '
                f'is {type(self._model).__name__}. Remove the hook from '
                '`custom_hooks`.')

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        self._model.start_step(runner.iter, _progress(runner))

    def _momentum_of_step(self, runner: Runner) -> float:
        return self.momentum + _progress(runner) * (
            self.end_momentum - self.momentum)


def _progress(runner: Runner) -> float:
    return (runner.iter + 1) / runner.max_iters
