"""Resumed runs that equal uninterrupted ones."""
from typing import Dict

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner, set_random_seed
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.samplers.seeded_batch_sampler import (
    SeededBatchSampler,
    mix_seed,
)

STATE = 'exact_resume'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Let a resumed run equal one that was not interrupted.

    Before every step the random generators are seeded from the run's seed,
    the step and the rank. So no random state has to be saved: a validation in
    between, another number of workers or a resume change nothing. With
    ``SeededBatchSampler`` as the ``batch_sampler`` of the training data, a run
    that was saved in the middle of an epoch goes on with the next batch. A
    validation that was due when the run stopped is done first.

    The runs are equal bit for bit on one kind of machine, with the same
    number of processes and threads and ``randomness.deterministic=True``.

    Raises:
        ValueError: Before the first step, if a checkpoint from the middle of
            an epoch cannot be continued: the images, or those of a step, have
            changed, or the training data has no ``SeededBatchSampler``.

    Example:
        >>> default_hooks = dict(exact_resume=dict(type='ExactResumeHook'))
        >>> train_dataloader = dict(
        ...     batch_sampler=dict(type='SeededBatchSampler'))
    """

    # After CheckpointHook, which must be ready for the validation.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._start = 0

    def before_train(self, runner: Runner) -> None:
        unit = _unit(runner)
        if unit == 'epoch':
            self._find_batch(runner)
        else:
            seed = runner.cfg.get('randomness', {}).get('seed')
            if runner._resume and runner.iter and seed is None:
                runner.logger.warning(
                    'The run counts iterations and has no `randomness.seed`, '
                    'so after this resume the images come in another order '
                    'and with other augmentations.')
            runner.message_hub.update_info(
                STATE, runner.message_hub.get_info(STATE, {}))
        if self._misses_validation(runner):
            runner.logger.info(
                f'{unit.capitalize()} {getattr(runner, unit)} was not '
                'validated, or stopped before that was saved: it is now.')
            runner.val_loop.run()

    def before_val(self, runner: Runner) -> None:
        state = runner.message_hub.get_info(STATE)
        if state is not None:
            runner.message_hub.update_info(
                STATE, dict(state, validated=getattr(runner, _unit(runner))))

    def before_train_epoch(self, runner: Runner) -> None:
        _seed(runner)  # for samplers
        state = runner.message_hub.get_info(STATE)
        if state is not None:
            begin = runner.iter - self._start
            runner.message_hub.update_info(
                STATE, dict(state, epoch=runner.epoch, begin=begin))
        batches = runner.train_dataloader.batch_sampler
        if isinstance(batches, SeededBatchSampler):
            batches.start = self._start
        self._start = 0

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        _seed(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        wrapper = runner.optim_wrapper
        if not all(one.should_update() for one in (
                wrapper.values() if isinstance(wrapper, OptimWrapperDict) else
                [wrapper])):
            runner.logger.warning(
                'The checkpoint is saved between two updates of the '
                'optimizer, without the gradients accumulated so far, so a '
                'resume from it is not exact. Save at multiples of '
                '`optim_wrapper.accumulative_counts` steps.')

    def _find_batch(self, runner: Runner) -> None:
        steps = len(runner.train_dataloader)
        batches = runner.train_dataloader.batch_sampler
        now = dict(
            steps=steps, images=len(runner.train_dataloader.dataset),
            batch=(getattr(batches, 'batch_size', 0) or 0) * runner.world_size)
        state = {**now, **_read_state(runner)}
        self._start = runner.iter - _begin_of_epoch(runner, state)
        if self._start and any(state[key] != now[key] for key in now):
            then, here = (
                f'{one["steps"]} steps of {one["batch"]} images, '
                f'{one["images"]} in all' for one in (state, now))
            raise ValueError(
                f'The checkpoint was saved after {self._start} steps of an '
                f'epoch, which had {then}, but now has {here}. Resume with '
                'the batch size, the number of processes and the data that '
                "it was made with, or from a checkpoint of an epoch's end.")
        if isinstance(batches, SeededBatchSampler):
            # A run without a seed in its config draws one.
            batches.sampler.seed = state.get('seed', batches.sampler.seed)
            state['seed'] = batches.sampler.seed
        elif self._start:
            raise ValueError(
                f'The checkpoint was saved after {self._start} of {steps} '
                'steps of an epoch, which would be seen again. Add '
                "train_dataloader.batch_sampler=dict(type='"
                "SeededBatchSampler'), or resume from a checkpoint of an "
                "epoch's end.")
        runner.message_hub.update_info(STATE, {**state, **now})

    def _misses_validation(self, runner: Runner) -> bool:
        if runner.val_loop is None:
            return False
        loop, unit = runner.train_loop, _unit(runner)
        done, last = getattr(loop, unit), getattr(loop, f'max_{unit}s')
        validated = runner.message_hub.get_info(STATE).get('validated', 0)
        due = done % loop.val_interval == 0 or done == last
        return (not self._start and due and done > validated
                and done >= loop.val_begin)


def _unit(runner: Runner) -> str:
    counts_iters = isinstance(runner._train_loop, IterBasedTrainLoop)
    return 'iter' if counts_iters else 'epoch'


def _read_state(runner: Runner) -> Dict[str, int]:
    """Read what this hook has put into the checkpoint."""
    if not runner.iter:
        # Runs that one process starts within a second share the hub.
        return {}
    state = runner.message_hub.get_info(STATE, {})
    if (not isinstance(state, dict)
            or not all(isinstance(value, int) for value in state.values())
            or not ('epoch' in state) == ('begin' in state)
            or state.get('begin', 0) > runner.iter):
        raise ValueError(
            f'The checkpoint of step {runner.iter} tells nonsense of its '
            f'epoch ({STATE}={state!r}). It was not written like this; '
            'resume from another one.')
    return state


def _begin_of_epoch(runner: Runner, state: dict) -> int:
    """Find the iteration at which the resumed epoch began."""
    if 'begin' in state:
        return state['begin'] if state['epoch'] == runner.epoch else (
            runner.iter)
    # Saved without this hook, perhaps with other steps per epoch.
    begin = runner.epoch * state['steps']
    inside = begin <= runner.iter < begin + state['steps']
    whole = runner.epoch and runner.iter % runner.epoch == 0
    return runner.iter if whole and not inside else begin


def _seed(runner: Runner) -> None:
    set_random_seed(mix_seed(runner.seed, runner.rank, runner.iter))
