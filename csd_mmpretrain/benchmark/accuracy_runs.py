"""Train the cells of a suite, several at a time, and keep their results."""
import json
import math
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from typing import IO, Any, Dict, List, NamedTuple, Optional, Sequence

from csd_mmpretrain.checkpoints.checkpoint_files import write_whole
from csd_mmpretrain.checkpoints.pretrained import file_hash
from csd_mmpretrain.utils.cores import usable_cores
from csd_mmpretrain.utils.plain_files import load_plain
from csd_mmpretrain.utils.wording import first_names

from .run_logs import read_scores, score_names
from .suite import Cell, Suite, cell_config, load_method, suite_cells

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Result(NamedTuple):
    """Result of a training.

    The scores of the last and of the best validation, trained epochs, images
    sent through the backbone, and seconds of all attempts together.
    """

    last: float
    best: float
    epochs: int
    images: int
    seconds: float


class Job(NamedTuple):
    """A training that can be started in its work directory ``folder``.

    ``text`` is the whole config, ``metric`` the name of the score; ``epochs``
    and ``images`` are those of :class:`Result`.
    """

    cell: Cell
    folder: Path
    text: str
    epochs: int
    images: int
    metric: str

    @property
    def config(self) -> Path:
        """The config file; the runner writes a copy of it to the folder."""
        return Path(f'{self.folder}.py')


def prepare_jobs(suite: Suite, out: Path) -> List[Job]:
    """Make the config of each cell, see ``cell_config``."""
    methods = {method.name: load_method(method) for method in suite.methods}
    jobs = []
    for cell in suite_cells(suite):
        cfg, images = cell_config(*methods[cell.method], cell, suite.splits)
        jobs.append(
            Job(cell, out / cell.path, cfg.pretty_text,
                cfg.train_cfg.max_epochs, images, suite.metric))
    return jobs


def _prepare_folder(job: Job, options: str) -> None:
    note = job.folder / 'options.txt'
    job.folder.mkdir(parents=True, exist_ok=True)
    started = {*job.folder.iterdir()} - {note}
    if not started:
        note.write_text(options, encoding='utf-8')
    if not started or not job.config.is_file():
        job.config.write_text(job.text, encoding='utf-8')
    if not _is_config_of(job):
        raise ValueError(
            f'{job.config} differs from the config asked for now, so '
            f'{job.folder} belongs to another training. Remove both, or '
            'choose another folder (`--out`, `--work-dir`).')
    found = note.read_text(encoding='utf-8') if note.is_file() else options
    if found != options:
        raise ValueError(
            f'{job.folder} was trained with {found or "no options"}, but '
            f'now the options are {options or "none"}. Give the same, remove '
            'the folder, or choose another one (`--out`, `--work-dir`).')


def _is_config_of(job: Job) -> bool:
    return job.config.read_text(encoding='utf-8') == job.text


def describe_options(weights: Optional[str], processes: int = 1,
                     **flags: bool) -> str:
    """Write the options of a training that change its result.

    Weights are named by their hash. Processes count, as the batch of a step
    grows with them.

    Example:
        >>> describe_options(None, amp=True, auto_scale_lr=False)
        '--amp'
    """
    words = [f'--{name.replace("_", "-")}' for name, given in flags.items()
             if given]
    if processes > 1:
        words.append(f'--num-processes {processes}')
    if weights:
        words.append(f'--weights (SHA-256 {file_hash(weights)}...)')
    return ' '.join(words)


def make_result(place: str, values: Dict[str, Any]) -> Result:
    """Make a result of what a file says.

    Args:
        place (str): The file, for errors.
        values (dict[str, Any]): The fields of :class:`Result`, as numbers or
            texts.

    Returns:
        Result: The checked result.

    Raises:
        ValueError: If a field is missing, or is no number that it may be.
    """
    try:
        result = Result(**{name: Result.__annotations__[name](value)
                           for name, value in values.items()})
        if not all(map(math.isfinite, result)) or min(result[2:]) < 0:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f'{place} is no result of a training: it needs finite numbers '
            f'for {", ".join(Result._fields)}, and nothing else. Leave it '
            'out, or train anew.') from None
    return result


def read_result(folder: Path) -> Optional[Result]:
    """Read the result in a work directory; None if it has not finished.

    Raises:
        ValueError: If the file holds something else.
    """
    path = folder / 'result.json'
    if not path.is_file():
        return None
    found = load_plain(str(path))
    return make_result(str(path), found if isinstance(found, dict) else {})


def read_results(jobs: Sequence[Job]) -> Dict[Cell, Result]:
    """Read the results of the trainings that have finished.

    Prints a line that names those of another config than the job's; they are
    left out.
    """
    results, others = {}, []
    for job in jobs:
        result = read_result(job.folder)
        if result is None:
            continue
        if job.config.is_file() and not _is_config_of(job):
            others.append(str(job.config))
        else:
            results[job.cell] = result
    if others:
        print('Left out, as these configs differ from those asked for now: '
              f'{first_names(others, 3)}. Give the options of their training, '
              'or remove them with their folders to train anew.')
    return results


def run_jobs(jobs: Sequence[Job],
             devices: Sequence[Optional[str]],
             command: Sequence[str],
             options: str = '',
             keep_checkpoints: bool = False,
             processes: int = 1) -> Dict[Cell, str]:
    """Train what has no result yet, one training per device at a time.

    A training that was stopped goes on from its latest checkpoint. Prints a
    line for each training that ends.

    Args:
        jobs (Sequence[Job]): In the order in which they are started.
        devices (Sequence[str | None]): The number of a GPU, or None for a
            CPU process, which gets its part of the cores unless
            ``OMP_NUM_THREADS`` is set; one training at a time for each.
        command (Sequence[str]): Starts tools/train.py with arguments for all
            trainings.
        options (str): Those that change a result, see
            :func:`describe_options`. Defaults to none.
        keep_checkpoints (bool): Keep the checkpoints of finished trainings.
            Defaults to False.
        processes (int): Processes of one training. Defaults to 1.

    Returns:
        dict[Cell, str]: The cells that failed, with the end of their log.

    Raises:
        ValueError: If a folder holds a training with another config or other
            options, or a finished training has no score of the metric.
        RuntimeError: If a training is running in a folder already.
    """
    for job in jobs:
        _prepare_folder(job, options)
    todo = [job for job in jobs if read_result(job.folder) is None]
    print(f'{len(jobs) - len(todo)} of {len(jobs)} trainings have a result.')
    total = sum(job.images for job in todo)
    failed, done, running, stopped = {}, [], [], Event()
    waiting = iter(todo)

    def work(device: Optional[str]) -> None:
        for job in waiting:  # shared: each device takes the next
            if stopped.is_set():
                return
            error = _train(job, device, processes * len(devices), command,
                           running, stopped)
            if error is not None:
                failed[job.cell] = error
                print(f'{job.cell.path} failed, see {job.folder / "out.log"}')
                continue
            if not keep_checkpoints:
                for checkpoint in job.folder.glob('*.pth'):
                    checkpoint.unlink()
            result = read_result(job.folder)
            done.append((job.images, result.seconds))
            images, seconds = map(sum, zip(*done))
            left = seconds / images * (total - images) / len(devices)
            print(f'[{len(done)}/{len(todo)}] {job.cell.path}: '
                  f'{result.last:.2f} in {result.seconds / 60:.1f} min; about '
                  f'{left / 60:.0f} min left')

    with ThreadPoolExecutor(len(devices)) as pool:
        try:
            futures = [pool.submit(work, device) for device in devices]
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stopped.set()
            for process in running:
                process.terminate()
            raise
    return failed


def _train(job: Job, device: Optional[str], parallel: int,
           command: Sequence[str], running: list,
           stopped: Event) -> Optional[str]:
    """Run the training; return the end of its log if it fails."""
    environment = dict(os.environ, OMP_WAIT_POLICY='PASSIVE',
                       CUDA_VISIBLE_DEVICES=device or '')
    if device is None:
        environment.setdefault('OMP_NUM_THREADS',
                               str(max(1, usable_cores() // parallel)))
    start = time.time()
    log = job.folder / 'out.log'
    command = [*command, str(job.config), '--work-dir', str(job.folder),
               '--resume']
    with open(log, 'a', encoding='utf-8') as out:
        _lock(out)
        process = subprocess.Popen(command, env=environment, stdout=out,
                                   stderr=subprocess.STDOUT)
        running.append(process)
        if stopped.is_set():
            process.terminate()
        code = process.wait()
        running.remove(process)
    earlier = job.folder / 'seconds'
    seconds = time.time() - start
    if earlier.is_file():
        seconds += float(earlier.read_text())
    write_whole(str(earlier), str(seconds).encode())
    if code:
        return log.read_text(encoding='utf-8')[-2000:]
    scores = list(read_scores(job.folder, job.metric).values())
    if not scores:
        raise ValueError(
            f'{job.folder} has finished, but no validation has the score '
            f'{job.metric!r}; there are '
            f'{", ".join(score_names(job.folder)) or "none"}. Name one as '
            '`metric` of the suite or with --metric; the training is kept.')
    result = Result(scores[-1], max(scores), job.epochs, job.images, seconds)
    write_whole(str(job.folder / 'result.json'),
                json.dumps(result._asdict()).encode())
    return None


def _lock(out: IO[str]) -> None:
    """Let one training at a time write a log.

    The lock belongs to the open file, which the training inherits, so that it
    lasts as long as the training, even if this program is killed.
    """
    try:
        if fcntl is not None:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(
            f'{out.name}: a training is running in this folder already, '
            'perhaps from an earlier start that was killed. Wait until it '
            f'ends, or end it: `fuser {out.name}` lists its processes.'
        ) from None
    except OSError:
        return  # a file system without locks
