"""Checkpoints that survive a kill at any moment."""
import math
import os
from numbers import Real
from typing import Any, Dict, List, Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from csd_mmpretrain.checkpoints.checkpoint_files import (
    RECORD,
    FolderLock,
    LateRemoval,
    check_template,
    checkpoint_folder,
    is_checkpoint,
    newest_whole,
    no_checkpoint,
    read_record,
    refuse_overwriting,
    remove_parts,
    whole_files,
    write_whole,
)

BEST_REMEDY = (
    "Set save_best to one of these scores with its `rule`, to 'auto' for "
    'the first one, or to None for no best checkpoint.')
OUTDATED = 'outdated_ckpts'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, with a state to resume from at any moment.

    - A checkpoint is written to ``<name>.part``, flushed to the disk and
      renamed; then ``last_checkpoint`` names it; then outdated ones are
      removed. A resumed run removes the parts and outdated files that a kill
      has left.
    - An automatic resume (``resume=True``, no ``load_from``) first checks the
      file that ``last_checkpoint`` names. If it is missing, damaged or of
      another run, whose folder was copied, a warning says so, and the newest
      whole checkpoint in the folder of this run is used instead. The damaged
      file stays until the run comes to its epoch again. mmengine's
      FlexibleRunner loads before any hook, so nothing is checked; our
      tools/train.py names the checkpoint to it.
    - A training starts neither in a folder with checkpoints, which it would
      write over, unless it resumes; nor where another one is running.
    - If a best checkpoint is missing, the next validation makes a new one.
      Files outside of the run's own folder are never removed.

    While saving, the disk holds one checkpoint more than ``max_keep_ckpts``.
    Behind backends other than the local disk, files are written as the
    backend does, and nothing is checked.

    Args:
        **kwargs: Those of :class:`mmengine.hooks.CheckpointHook`.

    Raises:
        FileExistsError: If a new training would write over checkpoints.
        RuntimeError: If another training is writing into the folder.
        ValueError: Before the training, if ``filename_tmpl`` has no place for
            the step, or there are checkpoints to resume from, but none is
            whole; after a validation, if it does not report
            the score of ``save_best``.
        OSError: If a checkpoint cannot be written. Those written before, and
            ``last_checkpoint``, stay.

    Example:
        >>> default_hooks = dict(checkpoint=dict(
        ...     type='SafeCheckpointHook', interval=1, max_keep_ckpts=2))
    """

    # Epoch and iteration of the checkpoint that is being saved.
    _position: Dict[str, int] = {}
    _lock: Optional[FolderLock] = None

    def before_run(self, runner: Runner) -> None:
        if not (isinstance(runner._train_loop, BaseLoop)
                and self._is_local(runner)):
            return
        error: List[Optional[Exception]] = [None]
        if is_main_process():
            try:
                self._lock = FolderLock(self._folder(runner))
                if not runner._resume:
                    refuse_overwriting(
                        self._folder(runner), self.filename_tmpl)
                elif isinstance(runner, Runner) and runner._load_from is None:
                    self._choose(runner)
            except (ValueError, OSError, RuntimeError) as found:
                error = [found]
        broadcast_object_list(error)
        if error[0] is not None:
            raise error[0]

    def before_train(self, runner: Runner) -> None:
        check_template(self.filename_tmpl)
        hub = runner.message_hub
        self._adopt_best(runner)
        outdated = _all_of(str, hub.get_info(OUTDATED))
        if self.max_keep_ckpts > 0:
            # mmengine would remove the oldest of them itself.
            steps = _all_of(int, hub.get_info('keep_ckpt_ids'))
            hub.update_info('keep_ckpt_ids', steps[-self.max_keep_ckpts:])
            outdated += map(self.filename_tmpl.format,
                            steps[:-self.max_keep_ckpts])
        super().before_train(runner)
        for path in _all_of(str, [hub.get_info('last_ckpt')]):
            # So that a best checkpoint found now is recorded at once.
            self.last_ckpt = self._here(path)
        self.file_backend = LateRemoval(self.file_backend, self.out_dir,
                                        self.filename_tmpl)
        for path in outdated:
            self.file_backend.remove(self._here(path))
        self._remove_outdated(runner)
        # Every checkpoint holds this list as it is when that is saved.
        hub.update_info(OUTDATED, self.file_backend.outdated)
        if is_main_process() and self._is_local(runner):
            remove_parts(self.out_dir, self.filename_tmpl)
            remove_parts(runner.work_dir, RECORD)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        # FlexibleRunner counts on, if it saves after a validation.
        checkpoint['meta'].update(self._position)

    def after_val_epoch(self, runner: Runner,
                        metrics: Dict[str, float]) -> None:
        if not hasattr(self, 'file_backend'):
            return  # no training, which would have set it
        for name in self.save_best or ():
            if metrics and name != 'auto' and name not in metrics:
                raise ValueError(
                    f'default_hooks.checkpoint.save_best={name!r}, but the '
                    f'validation reports {", ".join(metrics)}. {BEST_REMEDY}')
        with whole_files():
            super().after_val_epoch(runner, metrics)
        self._remove_outdated(runner)

    def after_train(self, runner: Runner) -> None:
        with whole_files():
            super().after_train(runner)
        if self._lock is not None:
            self._lock.release()

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        hub = runner.message_hub
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                oldest = self.filename_tmpl.format(self.keep_ckpt_ids[0])
                self.file_backend.remove(self._here(oldest))
            self.keep_ckpt_ids.append(step)
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self._here(name)
        hub.update_info('last_ckpt', self.last_ckpt)
        self._position = dict(epoch=runner.epoch, iter=runner.iter)
        self._position['epoch' if self.by_epoch else 'iter'] = step
        with whole_files():
            runner.save_checkpoint(
                self.out_dir, name, self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler, meta=meta,
                by_epoch=self.by_epoch, backend_args=self.backend_args,
                **self.args)
        self._position = {}
        if is_main_process():
            write_whole(
                os.path.join(runner.work_dir, RECORD), self.last_ckpt.encode())
        self._remove_outdated(runner)

    def _remove_outdated(self, runner: Runner) -> None:
        if is_main_process():
            info = runner.message_hub.runtime_info
            self.file_backend.remove_outdated(keep=[
                info[key] for key in info
                if key == 'last_ckpt' or key.startswith('best_ckpt')])

    def _adopt_best(self, runner: Runner) -> None:
        """Find the best checkpoints of a resume in this run's folder."""
        hub, folder = runner.message_hub, self._folder(runner)
        backend = get_file_backend(folder, backend_args=self.backend_args)
        names = {key: os.path.basename(str(path))
                 for key, path in hub.runtime_info.items()
                 if key.startswith('best_ckpt')}
        paths = {key: os.path.join(folder, name)
                 for key, name in names.items()}
        there = [[is_checkpoint(names[key], self.filename_tmpl)
                  and _is_finite(hub.get_info(_score(key)))
                  and backend.exists(path) for key, path in paths.items()]]
        broadcast_object_list(there)
        for (key, path), found in zip(paths.items(), there[0]):
            if found:
                hub.update_info(key, path)
                continue
            runner.logger.warning(
                f'The best checkpoint so far, {path}, is not there, or has no '
                'score. The next validation makes a new one, whatever its '
                'score.')
            hub.pop_info(key)
            hub.pop_info(_score(key))

    def _choose(self, runner: Runner) -> None:
        """Let ``last_checkpoint`` name a whole checkpoint, if there is any."""
        record = os.path.join(runner.work_dir, RECORD)
        named = read_record(runner.work_dir)
        folder = self._folder(runner)
        path, faults = newest_whole(folder, self.filename_tmpl, named)
        if path is None and named is None and not faults:
            runner.logger.info(f'No checkpoint in {folder} to resume from: '
                               'the training starts from the beginning.')
            return
        if not named:
            faults[record] = 'is empty' if named == '' else 'is missing'
        if path is None:
            raise no_checkpoint(faults)
        if path != named:
            found = [f'{file} {fault}' for file, fault in faults.items()]
            runner.logger.warning(
                f'{"; ".join(found)}. The run goes on from {path}, the newest '
                'whole checkpoint, instead.')
            write_whole(record, path.encode())

    def _folder(self, runner: Runner) -> str:
        return checkpoint_folder(runner.work_dir, self.out_dir)

    def _here(self, path: str) -> str:
        return os.path.join(self.out_dir, os.path.basename(path))

    def _is_local(self, runner: Runner) -> bool:
        backend = get_file_backend(
            self._folder(runner), backend_args=self.backend_args)
        return isinstance(backend, LocalBackend)


def _score(best: str) -> str:
    return best.replace('best_ckpt', 'best_score', 1)


def _is_finite(score: Any) -> bool:
    return isinstance(score, Real) and math.isfinite(score)


def _all_of(kind: type, found: Any) -> list:
    """Keep what is of a type; a checkpoint may hold anything."""
    found = found if isinstance(found, (list, tuple)) else ()
    return [value for value in found if isinstance(value, kind)]
