"""What changes with time in CMD: teacher, temperature, prototypes."""
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.hooks.ema_teacher_hook import EMATeacherHook

from .cmd import CMD


@HOOKS.register_module()
class SelfDistillationHook(EMATeacherHook):
    """Move the teacher of ``CMD`` and set what depends on the time.

    The teacher moves as in ``EMATeacherHook``. Its temperature rises linearly
    from epoch to epoch. The prototypes keep their first values for some
    epochs. All of it follows from the iteration, so a resumed training goes
    on where it stopped. The schedule of the weight decay is a stock one, see
    the example.

    Args:
        momentum (float): m at the start. Defaults to 0.996.
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
        super().__init__(momentum, end_momentum)
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
        self.teacher_temp = teacher_temp
        self.warmup_teacher_temp = warmup_teacher_temp
        self.temp_warmup_epochs = temp_warmup_epochs
        self.freeze_prototypes_epochs = freeze_prototypes_epochs

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if not isinstance(self._model, CMD):
            raise TypeError('SelfDistillationHook sets the temperature of '
                            f'CMD, but the model is '
                            f'{type(self._model).__name__}. Remove the hook '
                            'from `custom_hooks`.')
        necks = filter(None, (self._model.neck, self._model.region_neck))
        prototypes = [neck.prototypes.weight for neck in necks]

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
        fraction = 1.
        if self.temp_warmup_epochs:
            fraction = min(1., self._epoch(runner) / self.temp_warmup_epochs)
        self._model.head.teacher_temp = (
            self.warmup_teacher_temp + fraction *
            (self.teacher_temp - self.warmup_teacher_temp))

    def after_train(self, runner: Runner) -> None:
        self._handle.remove()

    @staticmethod
    def _epoch(runner: Runner) -> int:
        return runner.iter // len(runner.train_dataloader)
