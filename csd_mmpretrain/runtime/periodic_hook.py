"""Base class of hooks that look at the model now and then in a training."""
from typing import Optional

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from csd_mmpretrain.utils.unwrap import unwrap

from .undisturbed import same_modes, same_random_states, validated_weights


class PeriodicHook(Hook):
    """Look at the model before the first step and every ``interval`` epochs.

    Iteration-based trainings count iterations. The training goes on as if
    nothing had been done: random states, the modes of all modules and the
    weights stay as they are. With ``EMAHook`` the averaged weights are looked
    at, as in the validation. Subclasses implement :meth:`look`, and
    :meth:`prepare` if they need more than the model.

    Args:
        interval (int): Epochs (iterations) between two looks. Defaults to 1.

    Attributes:
        looks_last (bool): Also look after the last epoch (iteration).
        main_process_only (bool): Only rank 0 prepares and looks.
        tool (str): The tool that does the same for a checkpoint.

    Raises:
        ValueError: If ``interval`` is not positive; before the first step, if
            FSDP shards the weights.

    Example:
        ::

            @HOOKS.register_module()
            class WeightNormHook(PeriodicHook):

                def look(self, runner, step):
                    for name, weight in runner.model.named_parameters():
                        runner.logger.info(f'{step} {name} {weight.norm()}')
    """

    looks_last = False
    main_process_only = False
    tool = 'a tool'

    def __init__(self, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f'{type(self).__name__}: interval={interval} '
                             'must be a positive integer.')
        self.interval = interval

    def prepare(self, runner: Runner) -> None:
        """Build what :meth:`look` needs, before the first step."""

    def look(self, runner: Runner, step: int) -> None:
        """Look at the model.

        Args:
            runner (Runner): The runner of the training.
            step (int): Epochs (iterations) trained so far; 0 at the start.
        """
        raise NotImplementedError

    def before_train(self, runner: Runner) -> None:
        if any(isinstance(module, FullyShardedDataParallel)
               for module in runner.model.modules()):
            raise ValueError(
                f'{type(self).__name__} runs the model outside of the '
                'training step, but FSDP shards its weights. Leave the hook '
                f'out, and use {self.tool} on checkpoints.')
        if runner.rank == 0 or not self.main_process_only:
            with same_random_states():
                self.prepare(runner)
        if runner.iter == 0:
            self._look(runner, 0)

    def after_train_epoch(self, runner: Runner) -> None:
        if not isinstance(runner.train_loop, IterBasedTrainLoop) and (
                self.every_n_epochs(runner, self.interval)
                or self.looks_last and self.is_last_train_epoch(runner)):
            self._look(runner, runner.epoch + 1)

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        if isinstance(runner.train_loop, IterBasedTrainLoop) and (
                self.every_n_train_iters(runner, self.interval)
                or self.looks_last and self.is_last_train_iter(runner)):
            self._look(runner, runner.iter + 1)

    def _look(self, runner: Runner, step: int) -> None:
        if self.main_process_only and runner.rank != 0:
            return
        with same_random_states(), same_modes(unwrap(runner.model)), \
                validated_weights(runner.hooks):
            self.look(runner, step)
