"""A warning if a self-distillation collapses."""
from collections import deque
from typing import Optional

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

REMEDIES = dict(
    uniform='all prototypes are equally likely: lower `teacher_temp` of '
    'SelfDistillationHook, or the learning rate, or raise '
    '`freeze_prototypes_epochs`',
    single='one prototype takes all images: raise `teacher_temp` of '
    'SelfDistillationHook, or lower `center_momentum` of CMDHead, so that '
    'the center follows faster')


@HOOKS.register_module()
class CollapseCheckHook(Hook):
    """Warn once when a self-distillation has collapsed.

    Then all images have nearly the same output, and nothing is learned. Every
    ``interval`` steps the hook reads ``teacher_deviation`` and
    ``teacher_entropy``, which the model logs (see :func:`csd_mmpretrain.
    methods.cmd.cross_level.output_statistics`). It warns if the mean
    deviation of the last ``window`` readings is below ``min_deviation``.

    Args:
        min_deviation (float): Of the teacher's output, in (0, 1). Defaults
            to 0.02.
        interval (int): Steps between two readings, each of which waits for
            the device once. Defaults to 20.
        window (int): Number of readings to average. Defaults to 10.

    Raises:
        ValueError: If an argument is out of range.
        KeyError: At the first reading, if the model logs no deviation.

    Example:
        >>> custom_hooks = [dict(type='CollapseCheckHook')]
    """

    def __init__(self, min_deviation: float = 0.02, interval: int = 20,
                 window: int = 10) -> None:
        if not 0 < min_deviation < 1:
            raise ValueError(f'CollapseCheckHook: min_deviation='
                             f'{min_deviation} must lie between 0 and 1.')
        for name, value in (('interval', interval), ('window', window)):
            if value <= 0:
                raise ValueError(f'CollapseCheckHook: {name}={value} must be '
                                 'a positive integer.')
        self.min_deviation = min_deviation
        self.interval = interval
        self._readings = deque(maxlen=window)
        self._warned = False

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        if self._warned or not self.every_n_train_iters(runner, self.interval):
            return
        if 'teacher_deviation' not in (outputs or {}):
            raise KeyError(
                'CollapseCheckHook: the model logs no `teacher_deviation`, '
                f'but {", ".join(outputs or {}) or "nothing"}. Remove the '
                'hook, or use a model with a CMDHead.')
        self._readings.append((float(outputs['teacher_deviation']),
                            float(outputs['teacher_entropy'])))
        if len(self._readings) < self._readings.maxlen:
            return
        deviation, entropy = (sum(x) / len(x) for x in zip(*self._readings))
        if deviation < self.min_deviation:
            self._warned = True
            remedy = REMEDIES['uniform' if entropy > 0.5 else 'single']
            runner.logger.warning(
                'The teacher gives nearly the same output for all images '
                f'(teacher_deviation {deviation:.4f}, below min_deviation='
                f'{self.min_deviation}; teacher_entropy {entropy:.3f}): it '
                f'has collapsed, and {remedy}.')
