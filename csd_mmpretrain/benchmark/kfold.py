"""Cross-validation of one config: its folds and their summary."""
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import mmengine

from csd_mmpretrain.checkpoints.checkpoint_files import read_record
from csd_mmpretrain.datasets.dataset_settings import build_without_pipeline
from csd_mmpretrain.datasets.photos import read_groups
from csd_mmpretrain.evaluation.predictions import load_predictions
from csd_mmpretrain.runtime.run_options import load_config

from .accuracy_runs import Job, Result, prepare_jobs
from .suite import Method, Suite
from .summary import Summary

HEADER = ('fold', 'score, %', 'best, %', 'epochs', 'minutes')


def fold_jobs(config: str,
              work_dir: Path,
              num_splits: int,
              seed: int = 0,
              metric: str = 'accuracy/top1',
              validate: bool = True,
              options: Optional[dict] = None,
              keep_small: bool = False,
              groups: Optional[str] = None) -> List[Job]:
    """Make the configs of stratified folds, see ``cell_config``.

    Args:
        config (str): The config file.
        work_dir (Path): The folder of the folds.
        num_splits (int): Number of folds; each is held out once.
        seed (int): Of the division into folds; that of the trainings is the
            config's. Defaults to 0.
        metric (str): Name of the score in the validation.
        validate (bool): As often as the config says (default), or only after
            the last epoch.
        options (dict, optional): New values by dotted key.
        keep_small (bool): Accept classes with fewer images than folds, see
            ``split_images``. Defaults to False.
        groups (str, optional): A .csv file that names the group of each
            training image, see
            :func:`~csd_mmpretrain.datasets.photos.read_groups`; a group is
            held out together. Defaults to None.

    Returns:
        list[Job]: One per fold.
    """
    cfg = load_config(config, options)
    options = dict(options or {})
    if not validate:
        options['train_cfg.val_interval'] = cfg.train_cfg.get('max_epochs')
    splits = dict(num=num_splits, seed=seed, keep_small=keep_small)
    if groups is not None:
        splits['groups'] = read_groups(groups, build_without_pipeline(
            cfg.train_dataloader.dataset))
    name = Path(config).stem
    train_seed = cfg.get('randomness', {}).get('seed') or 0
    suite = Suite(name, [Method(name, name, config, options)], name,
                  [train_seed], splits, metric)
    return [job._replace(folder=work_dir / f'fold{job.cell.split}')
            for job in prepare_jobs(suite, work_dir)]


def dump_out_of_fold(jobs: Sequence[Job], path: str) -> int:
    """Predict the held-out images of each fold by its last checkpoint.

    Args:
        jobs (Sequence[Job]): Folds that were trained.
        path (str): The .json file to write, as ``tools/test.py --out`` does,
            so that each image is predicted by a model that has not seen it.

    Returns:
        int: How many images.
    """
    rows = []
    for job in jobs:
        found = load_predictions(
            str(job.config), read_record(str(job.folder)), split='val')
        rows += [
            dict(img_path=image, gt_label=[label], pred_label=[best],
                 pred_score=scores)
            for image, label, best, scores in zip(
                found.paths, found.labels.tolist(), found.predicted.tolist(),
                found.scores.tolist())]
    mmengine.dump(rows, path)
    return len(rows)


def launch_command(launcher: str, processes: int) -> List[str]:
    """Write what starts the processes of a program, up to its path.

    Example:
        >>> launch_command('mpi', 2)[:3]
        ['mpirun', '-n', '2']
    """
    return {
        'none': [sys.executable],
        'pytorch': [
            sys.executable, '-m', 'torch.distributed.run', '--standalone',
            f'--nproc_per_node={processes}'
        ],
        'slurm':
        ['srun', f'--ntasks={processes}', '--kill-on-bad-exit=1',
         sys.executable],
        'mpi': ['mpirun', '-n', str(processes), sys.executable],
    }[launcher]


def fold_rows(results: Dict[int, Result]) -> List[Sequence[str]]:
    """Write finished folds and their mean as rows below :data:`HEADER`."""
    rows = [(str(fold), f'{result.last:.2f}', f'{result.best:.2f}',
             str(result.epochs), f'{result.seconds / 60:.1f}')
            for fold, result in sorted(results.items())]
    last, best = _summaries(results).values()
    return [*rows, ('mean ± deviation', last.text, best.text, '', '')]


def summarize_folds(results: Dict[int, Result]
                    ) -> Dict[str, Optional[float]]:
    """Compute ``last_mean``, ``last_deviation`` and the same of ``best``.

    One fold has no deviation (None).

    The folds share training images, so the deviation says little about
    another data set.
    """
    return {
        f'{score}_{key}': getattr(summary, key)
        for score, summary in _summaries(results).items()
        for key in ('mean', 'deviation')
    }


def _summaries(results: Dict[int, Result]) -> Dict[str, Summary]:
    return {key: Summary([getattr(result, key) for result in results.values()])
            for key in ('last', 'best')}
