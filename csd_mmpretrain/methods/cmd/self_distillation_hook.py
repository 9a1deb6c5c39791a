"""What changes with time in self-distillation: teacher and schedules."""
import math
from typing import Optional

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.utils.unwrap import unwrap

from .cmd import CMD


def cosine(start: float, end: float, share: float) -> float:
    """Go from one value to another on half a cosine.

    Args:
        start (float): The value at ``share=0``.
        end (float): The value at ``share=1``.
        share (float): Of the way, in [0, 1].

    Returns:
        float: The value between them.

    Example:
        >>> [round(cosine(0.996, 1, share), 4) for share in (0, 0.5, 1)]
        [0.996, 0.998, 1.0]
    """
    return end - (end - start) * (1 + math.cos(math.pi * share)) / 2


@HOOKS.register_module()
class SelfDistillationHook(Hook):
    """Move the teacher of ``CMD`` and set what depends on the time.

    After each step of the optimizer the teacher becomes
    ``m * teacher + (1 - m) * student``, with m on half a cosine over the
    training. The teacher's temperature rises linearly from epoch to epoch.
    The prototypes keep their first values for some epochs. All of it follows
    from the iteration, so a resumed training goes on where it stopped. The
    weight decay's schedule is a stock one, see the example.

    Args:
        momentum (float): m at the start. Note that mmengine's
            ``momentum`` of moving averages is 1 - m. Defaults to 0.996.
        end_momentum (float): m at the end. Defaults to 1.0.
        teacher_temp (float): tau_t after its warm-up. Defaults to 0.07.
        warmup_teacher_temp (float): tau_t of the first epoch. Defaults to
            0.04.
        temp_warmup_epochs (int): Epochs until tau_t is full. Defaults to 30.
        freeze_prototypes_epochs (int): Epochs in which the prototypes do not
            change. Defaults to 1.

    Raises:
        ValueError: If a momentum lies outside [0, 1], a temperature is not
            positive, or a number of epochs is negative.
        TypeError: Before the first step, if the model is no ``CMD``.

    Source: CMD, "how it runs", which is DINO's.

    Example:
        ::

            custom_hooks = [dict(type='SelfDistillationHook')]
            param_scheduler = [..., dict(
                type='CosineAnnealingParamScheduler',
                param_name='weight_decay', eta_min_ratio=10,
                by_epoch=True, end=300, convert_to_iter_based=True)]
    """

    def __init__(self,
                 momentum: float = 0.996,
                 end_momentum: float = 1.0,
                 teacher_temp: float = 0.07,
                 warmup_teacher_temp: float = 0.04,
                 temp_warmup_epochs: int = 30,
                 freeze_prototypes_epochs: int = 1) -> None:
        for name, value in (('momentum', momentum), ('end_momentum',
                                                     end_momentum)):
            if not 0 <= value <= 1:
                raise ValueError(
                    f"SelfDistillationHook: {name}={value} is the teacher's "
                    'share and must lie in [0, 1].')
        for name, value in (('teacher_temp', teacher_temp),
                            ('warmup_teacher_temp', warmup_teacher_temp)):
            if value <= 0:
                raise ValueError(
                    f'SelfDistillationHook: {name}={value} divides the '
                    'cosines and must be positive.')
        for name, value in (('temp_warmup_epochs', temp_warmup_epochs),
                            ('freeze_prototypes_epochs',
                             freeze_prototypes_epochs)):
            if value < 0:
                raise ValueError(f'SelfDistillationHook: {name}={value} must '
                                 'not be negative.')
        self.momentum = momentum
        self.end_momentum = end_momentum
        self.teacher_temp = teacher_temp
        self.warmup_teacher_temp = warmup_teacher_temp
        self.temp_warmup_epochs = temp_warmup_epochs
        self.freeze_prototypes_epochs = freeze_prototypes_epochs
        self._handle = None

    def before_train(self, runner: Runner) -> None:
        """Check the model, and hold the prototypes.

        Args:
            runner (Runner): The runner of the training.
        """
        self._model = unwrap(runner.model)
        if not isinstance(self._model, CMD):
            raise TypeError('SelfDistillationHook moves the teacher of CMD, '
                            f'but the model is {type(self._model).__name__}. '
                            'Remove the hook from `custom_hooks`.')
        prototypes = [
            neck.prototypes
            for neck in (self._model.neck, self._model.region_neck)
            if neck is not None
        ]

        def skip_prototypes(*_) -> None:
            if self._epoch(runner) < self.freeze_prototypes_epochs:
                for parameter in prototypes:
                    parameter.grad = None

        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(
            skip_prototypes)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Set the teacher's temperature.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
        """
        share = 1.
        if self.temp_warmup_epochs:
            share = min(1., self._epoch(runner) / self.temp_warmup_epochs)
        self._model.head.teacher_temp = self.warmup_teacher_temp + share * (
            self.teacher_temp - self.warmup_teacher_temp)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Move the teacher, where the optimizer has moved the student.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
            outputs (dict, optional): What the step logs.
        """
        if runner.optim_wrapper.should_update():
            self._model.update_teacher(
                cosine(self.momentum, self.end_momentum,
                       runner.iter / runner.max_iters))

    def after_train(self, runner: Runner) -> None:
        """Let the prototypes go.

        Args:
            runner (Runner): The runner of the training.
        """
        self._handle.remove()

    @staticmethod
    def _epoch(runner: Runner) -> int:
        return runner.iter // len(runner.train_dataloader)
