"""Checks of settings that mmengine takes, and that spoil a training."""
from typing import Any, Dict, List, Union

from mmengine.optim import LinearParamScheduler

Schedulers = List[Any]


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
