"""What of a changed config a resume does not take over."""
import ast
import re
from typing import Dict, Iterator, Optional, Tuple

from mmengine.config import Config

# Taken from the checkpoint, whatever the config says.
KEPT = re.compile(r'(optim_wrapper\.(.+\.)?(optimizer|paramwise_cfg)|'
                  r'param_scheduler|auto_scale_lr)(\.|$)')
# What a schedule is made for.
LENGTH = re.compile(r'train_cfg\.max_(epochs|iters)$')


def describe_changes(checkpoint: dict, cfg: Config,
                     steps: Optional[Tuple[int, int]]) -> Optional[str]:
    """Name new settings that a resume ignores, or that break its schedule.

    mmengine takes the optimizer's settings and the schedules from the
    checkpoint. The config that is stored there is parsed, not run.

    Args:
        checkpoint (dict): The whole checkpoint.
        cfg (Config): The whole config of the run.
        steps (tuple[int, int], optional): Steps per epoch before and now.

    Returns:
        str, optional: A sentence; None if nothing has changed.
    """
    schedules = checkpoint.get('param_schedulers') or []
    if isinstance(schedules, dict):  # by the names of several optimizers
        schedules = sum(schedules.values(), [])
    meta = checkpoint.get('meta') or {}
    old, new = _settings(meta.get('cfg') or ''), _settings(cfg.pretty_text)
    changed = [
        name for name in sorted({*old, *new}) if old and new
        and (KEPT.match(name) or schedules and LENGTH.match(name))
        and old.get(name) != new.get(name)
    ]
    if steps and steps[0] != steps[1] and any(
            not one['by_epoch'] and one['last_step'] < one['end']
            for one in schedules):
        changed.append(f'steps per epoch ({steps[1]}, not {steps[0]})')
    if not changed:
        return None
    return ("a resume keeps the checkpoint's optimizer settings and schedule, "
            f'but this run has other {", ".join(changed)}: to train with the '
            'new ones, start from the weights (load_from without --resume)')


def other_optimizer(checkpoint: dict, cfg: Config) -> Optional[str]:
    """Say that a run has another optimizer than its checkpoint.

    Args:
        checkpoint (dict): The whole checkpoint.
        cfg (Config): The whole config of the run.

    Returns:
        str, optional: A sentence; None if it is the same, or not known.
    """
    meta = checkpoint.get('meta') or {}
    old, new = (_settings(text).get('optim_wrapper.optimizer.type')
                for text in (meta.get('cfg') or '', cfg.pretty_text))
    if not old or not new or old == new:
        return None
    return (f'its optimizer is {old}, and that of this run is {new}, which '
            'cannot go on from its state')


def _settings(text: str) -> Dict[str, str]:
    """Parse a config to values by names such as train_cfg.max_epochs."""
    try:
        lines = ast.parse(text).body
    except (SyntaxError, ValueError):
        return {}
    return dict(leaf for line in lines if isinstance(line, ast.Assign)
                for leaf in _leaves(ast.unparse(line.targets[0]), line.value))


def _leaves(name: str, value: ast.expr) -> Iterator[Tuple[str, str]]:
    if isinstance(value, ast.Call) and value.keywords:
        for part in value.keywords:
            yield from _leaves(f'{name}.{part.arg}', part.value)
    else:
        yield name, ast.unparse(value)
