"""A resumed run ends where an unbroken one would have ended."""
import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.datasets.samplers.seeded_batch_sampler import (
    SeededBatchSampler,
    mix_seed,
)

STATE = 'exact_resume'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Let an interrupted and resumed run equal one that was not interrupted.

    It seeds the random generators before every step from the run's seed, the
    step and the process, so that no random state has to be kept: a validation
    in between, another number of workers or a resume change nothing. With
    ``SeededBatchSampler`` as the ``batch_sampler`` of the training data, a run
    that was saved in the middle of an epoch goes on with the next batch. A
    validation that was due when the run stopped is made up for.

    Bit for bit this holds on one kind of machine, with the same number of
    processes and threads and ``randomness.deterministic=True``.

    Raises:
        ValueError: Before the first step, if a checkpoint from the middle of
            an epoch cannot be continued: the number of steps in an epoch has
            changed, or the training data has no ``SeededBatchSampler``.

    Source: choice.

    Example:
        ::

            default_hooks = dict(exact_resume=dict(type='ExactResumeHook'))
            train_dataloader = dict(
                batch_sampler=dict(type='SeededBatchSampler'))
    """

    # After CheckpointHook, which must be ready for the validation.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._start = 0

    def before_train(self, runner: Runner) -> None:
        """Find the batch to go on with, and make up for a validation.

        Args:
            runner (Runner): The runner of the training.
        """
        if _unit(runner) == 'epoch':
            self._find_batch(runner)
        else:
            _warn_of_other_images(runner)
            runner.message_hub.update_info(
                STATE, runner.message_hub.get_info(STATE, {}))
        if self._misses_validation(runner):
            unit = _unit(runner)
            runner.logger.info(
                f'{unit.capitalize()} {getattr(runner, unit)} was not '
                'validated, or stopped before that was saved: it is now.')
            runner.val_loop.run()

    def before_val(self, runner: Runner) -> None:
        """Remember, in what a resume restores, what is validated.

        Args:
            runner (Runner): The runner.
        """
        state = runner.message_hub.get_info(STATE)
        if state is not None:
            runner.message_hub.update_info(
                STATE, dict(state, validated=getattr(runner, _unit(runner))))

    def before_train_epoch(self, runner: Runner) -> None:
        """Leave out what was seen, and seed the generators for a sampler.

        Args:
            runner (Runner): The runner of the training.
        """
        _seed_all(runner.seed, runner.rank, runner.iter)
        state = runner.message_hub.get_info(STATE)
        if state is not None:
            runner.message_hub.update_info(
                STATE,
                dict(state, epoch=runner.epoch,
                     begin=runner.iter - self._start))
        batches = runner.train_dataloader.batch_sampler
        if isinstance(batches, SeededBatchSampler):
            batches.start = self._start
        self._start = 0

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Seed the generators for the step.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
        """
        _seed_all(runner.seed, runner.rank, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Warn of gradients that the checkpoint does not hold.

        Args:
            runner (Runner): The runner that saves.
            checkpoint (dict): All that will be written.
        """
        wrapper = runner.optim_wrapper
        several = isinstance(wrapper, OptimWrapperDict)
        if not all(one.should_update()
                   for one in (wrapper.values() if several else [wrapper])):
            runner.logger.warning(
                'The checkpoint is saved between two updates of the '
                'optimizer, without the gradients accumulated so far, so a '
                'resume from it is not exact. Save at multiples of '
                '`optim_wrapper.accumulative_counts` steps.')

    def _find_batch(self, runner: Runner) -> None:
        steps = len(runner.train_dataloader)
        state = {'steps': steps, **runner.message_hub.get_info(STATE, {})}
        self._start = runner.iter - _begin_of_epoch(runner, state)
        batches = runner.train_dataloader.batch_sampler
        if self._start and state['steps'] != steps:
            raise ValueError(
                f'The checkpoint was saved after {self._start} of '
                f'{state["steps"]} steps of an epoch, but an epoch has '
                f'{steps} steps now. Resume with the batch size, the number '
                'of processes and the data that it was made with, or from a '
                "checkpoint of an epoch's end.")
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
        state['steps'] = steps
        runner.message_hub.update_info(STATE, state)

    def _misses_validation(self, runner: Runner) -> bool:
        loop, unit = runner.train_loop, _unit(runner)
        done, last = getattr(loop, unit), getattr(loop, f'max_{unit}s')
        validated = runner.message_hub.get_info(STATE).get('validated', 0)
        due = done % loop.val_interval == 0 or done == last
        return (runner.val_loop is not None and not self._start and due
                and done > validated and done >= loop.val_begin)


def _unit(runner: Runner) -> str:
    """What the training counts, by its name in mmengine."""
    counts_iters = isinstance(runner._train_loop, IterBasedTrainLoop)
    return 'iter' if counts_iters else 'epoch'


def _warn_of_other_images(runner: Runner) -> None:
    seed = runner.cfg.get('randomness', {}).get('seed')
    if runner._resume and runner.iter and seed is None:
        runner.logger.warning(
            'The run has no `randomness.seed` and counts iterations, so after '
            'this resume images come in another order and with other '
            'augmentations than they would have.')


def _begin_of_epoch(runner: Runner, state: dict) -> int:
    """The iteration at which the epoch began that is gone on with."""
    if 'begin' in state:
        return state['begin'] if state['epoch'] == runner.epoch else (
            runner.iter)
    # Saved without this hook: epochs of as many steps, or of others.
    begin = runner.epoch * state['steps']
    inside = begin <= runner.iter < begin + state['steps']
    whole = runner.epoch and runner.iter % runner.epoch == 0
    return runner.iter if whole and not inside else begin


def _seed_all(*source: int) -> None:
    """Seed Python, NumPy and torch on all devices."""
    seed = mix_seed(*source)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
