"""A run's header, and its best and last epoch."""
from typing import Dict, Optional

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.runtime.run_summary import summarise
from csd_mmpretrain.utils.unwrap import unwrap

STATE = 'run_summary'


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Log what is about to be trained, and at the end what came out.

    Before training: the data with the images per class, the model, its
    weights' file and hash, parameters, device, batch, the losses with their
    weights, and the second view. After training: the best and the last
    epoch, which stay known over a resume.

    Args:
        metric (str, optional): The metric that ranks epochs, such as
            'accuracy/top1'. Defaults to None, the first number reported.
        rule (str): Whether a 'greater' or a 'less' value is better. Defaults
            to 'greater'.

    Raises:
        ValueError: If the rule is unknown, or no metric of that name is
            reported.

    Source: choice.

    Example:
        ::

            default_hooks = dict(run_summary=dict(type='RunSummaryHook'))
    """

    # Before CheckpointHook saves the best epoch, so that it knows of it.
    priority = 'ABOVE_NORMAL'

    def __init__(self,
                 metric: Optional[str] = None,
                 rule: str = 'greater') -> None:
        if rule not in ('greater', 'less'):
            raise ValueError(f'RunSummaryHook: unknown rule={rule!r}; choose '
                             "'greater' or 'less'.")
        self.metric = metric
        self.rule = rule
        self._training = False

    def before_train(self, runner: Runner) -> None:
        """Log the header.

        Args:
            runner (Runner): The runner of the training.
        """
        self._training = True
        if runner.rank == 0:
            runner.logger.info(summarise(runner, unwrap(runner.model)))

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Remember the epoch's metric, in what a resume restores.

        Args:
            runner (Runner): The runner of the training.
            metrics (dict[str, float], optional): Those of the validation.
        """
        if not self._training or not metrics:
            return
        metric = self.metric or next(
            (name for name in metrics if _is_number(metrics[name])), None)
        if metric is None:
            return
        if metric not in metrics:
            raise ValueError(
                f'RunSummaryHook: metric={metric!r} is not among those '
                f'reported: {", ".join(metrics)}.')
        iters = isinstance(runner.train_loop, IterBasedTrainLoop)
        last = dict(
            step=runner.iter if iters else runner.epoch,
            value=float(metrics[metric]))
        best = runner.message_hub.get_info(STATE, {}).get('best', last)
        sign = 1 if self.rule == 'greater' else -1
        if sign * last['value'] > sign * best['value']:
            best = last
        runner.message_hub.update_info(
            STATE,
            dict(
                metric=metric,
                unit='iteration' if iters else 'epoch',
                best=best,
                last=last))

    def after_train(self, runner: Runner) -> None:
        """Log the best and the last epoch.

        Args:
            runner (Runner): The runner of the training.
        """
        self._training = False
        state = runner.message_hub.get_info(STATE)
        if state is None or runner.rank != 0:
            return
        best, last = (
            f'{which} {state["unit"]}: {state[which]["step"]}, '
            f'{state["metric"]} {state[which]["value"]:.4f}'
            for which in ('best', 'last'))
        runner.logger.info(f'{best.capitalize()}; {last}.')


def _is_number(value: object) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
