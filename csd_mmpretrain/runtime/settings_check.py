"""Checks of settings that mmengine takes, and that spoil a training."""
from typing import Any, Dict, List, Sequence, Union

from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, Hook, LoggerHook
from mmengine.optim import LinearParamScheduler
from mmengine.runner import IterBasedTrainLoop, Runner

Schedulers = List[Any]
BEST_REMEDY = (
    "Set save_best to one of these scores with its `rule`, to 'auto' for "
    'the first one, or to None for no best checkpoint.')


def check_warmups(schedulers: Union[Schedulers, Dict[str, Schedulers], None],
                  steps: int) -> None:
    """Refuse a warm-up that never ends, as it has one step or epoch.

    mmengine's ``LinearLR`` is at its end factor ``end - begin - 1`` steps
    after its start factor. With 0 of them the start factor stays, and later
    schedules go on from there.

    Args:
        schedulers (list | dict[str, list] | None): As the runner has built
            them, for one optimizer or for several by name.
        steps (int): Of an epoch.

    Raises:
        ValueError: If a warm-up never ends.
    """
    if isinstance(schedulers, dict):
        schedulers = sum(schedulers.values(), [])
    for scheduler in schedulers or ():
        if (not isinstance(scheduler, LinearParamScheduler)
                or scheduler.start_factor >= scheduler.end_factor
                or scheduler.total_iters > 0):
            continue
        unit = 'epoch' if scheduler.by_epoch else 'step'
        raise ValueError(
            f'param_scheduler: {type(scheduler).__name__} has one {unit} '
            f'(an epoch has {steps} steps), so its warm-up never ends, and '
            f'{scheduler.param_name} would stay at {scheduler.start_factor:g} '
            'times its value for the whole training. Lower '
            'train_dataloader.batch_size, so that an epoch has more steps, '
            'give the scheduler a later `end`, or leave it out.')


def check_best_scores(hooks: Sequence[Hook],
                      metrics: Sequence[BaseMetric]) -> None:
    """Refuse to choose the best checkpoint by a score that nothing reports.

    Args:
        hooks (Sequence[Hook]): Those of the run.
        metrics (Sequence[BaseMetric]): Of the validation. With one that has
            no prefix, any name may be reported, and nothing is checked.

    Raises:
        ValueError: If ``save_best`` of a ``CheckpointHook`` begins with none
            of the metrics' prefixes.
    """
    given = {
        getattr(metric, 'prefix', None): type(metric).__name__
        for metric in metrics
    }
    if None in given:
        return
    for hook in hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        for name in hook.save_best or ():
            if name == 'auto' or any(
                    name.startswith(f'{prefix}/') for prefix in given):
                continue
            names = ', '.join(
                f'{prefix}/... ({kind})' for prefix, kind in given.items())
            raise ValueError(
                f'default_hooks.checkpoint.save_best={name!r}, but '
                f'val_evaluator reports {names}. {BEST_REMEDY}')


def check_logged_steps(runner: Runner) -> None:
    """Refuse to log all validations of a training by iterations at step 0.

    By default mmengine logs a validation at the epoch, of which a training by
    iterations counts none, so that of all its scores the logs' readers find
    one.

    Args:
        runner (Runner): The runner of a training with validation.

    Raises:
        ValueError: If the log processor or a ``LoggerHook`` counts epochs of
            a training by iterations.
    """
    if isinstance(runner.train_loop, IterBasedTrainLoop) and (
            runner.log_processor.by_epoch
            or any(hook.log_metric_by_epoch for hook in runner.hooks
                   if isinstance(hook, LoggerHook))):
        raise ValueError(
            'The training goes by iterations (train_cfg), but the log counts '
            'epochs, so all validations would be logged at step 0. Set\n'
            '    log_processor = dict(by_epoch=False)\n'
            '    default_hooks = dict(logger=dict(log_metric_by_epoch=False))'
            '\nin the config.')
