"""Train the cells of a suite, several at a time, and keep their results."""
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import Queue
from threading import Event
from typing import IO, Callable, Dict, List, NamedTuple, Optional, Sequence

from csd_mmpretrain.checkpoints.checkpoint_files import write_whole
from csd_mmpretrain.checkpoints.pretrained import file_hash
from csd_mmpretrain.utils.cores import usable_cores
from csd_mmpretrain.utils.wording import first_names

from .run_logs import read_scores, score_names
from .suite import Cell, Suite, cell_config, load_method, suite_cells

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Result(NamedTuple):
    """What came out of one training.

    Attributes:
        last (float): The score of the last validation.
        best (float): The best score of all validations.
        epochs (int): Epochs trained.
        images (int): Images sent through the backbone, second views and crops
            counted.
        seconds (float): From the start to the end of the program, all
            attempts together.
    """

    last: float
    best: float
    epochs: int
    images: int
    seconds: float


class Job(NamedTuple):
    """A training that can be started.

    Attributes:
        cell (Cell): The cell of the suite.
        folder (Path): Its work directory.
        config (Path): The file of its config, beside that folder, where the
            runner writes a copy of its own.
        text (str): The whole config.
        epochs (int): Epochs it trains.
        images (int): See :class:`Result`.
        metric (str): The validation's name of the score.
    """

    cell: Cell
    folder: Path
    config: Path
    text: str
    epochs: int
    images: int
    metric: str


def prepare_jobs(suite: Suite, out: Path) -> List[Job]:
    """Make the config of each cell.

    Args:
        suite (Suite): The suite.
        out (Path): The suite's folder.

    Returns:
        list[Job]: One per cell.

    Raises:
        ValueError: If a config does not count epochs, or images cannot be
            left out of its training data.
    """
    methods = {method.name: load_method(method) for method in suite.methods}
    jobs = []
    for cell in suite_cells(suite):
        cfg, images = cell_config(*methods[cell.method], cell, suite.splits)
        jobs.append(
            Job(cell, out / cell.path, out / f'{cell.path}.py',
                cfg.pretty_text, cfg.train_cfg.max_epochs, images,
                suite.metric))
    return jobs


def prepare_folder(job: Job, options: str) -> None:
    """Write the config and the options of a training.

    Args:
        job (Job): The training.
        options (str): Of :func:`describe_options`.

    Raises:
        ValueError: If it was started with another config or other options.
    """
    note = job.folder / 'options.txt'
    job.folder.mkdir(parents=True, exist_ok=True)
    started = {*job.folder.iterdir()} - {note}
    if not started:
        note.write_text(options, encoding='utf-8')
    if not started or not job.config.is_file():
        job.config.write_text(job.text, encoding='utf-8')
    if not _is_config_of(job):
        raise ValueError(
            f'{job.config} is another config than is asked for now, so '
            f'{job.folder} is of another training. Remove both, or choose '
            'another folder (`--out`, `--work-dir`).')
    found = note.read_text(encoding='utf-8') if note.is_file() else options
    if found != options:
        raise ValueError(
            f'{job.folder} was trained with {found or "no options"}, and '
            f'now it is {options or "none"}. Give the same, remove the '
            'folder, or choose another one (`--out`, `--work-dir`).')


def describe_options(weights: Optional[str], processes: int = 1,
                     **flags: bool) -> str:
    """Write what a training is started with beside its config.

    Args:
        weights (str, optional): The file of ``--weights``.
        processes (int): Of one training; they share its steps, so the batch
            of a step grows with them. Defaults to 1.
        **flags (bool): Other options, and whether they are given.

    Returns:
        str: The options, with the hash of the weights.

    Example:
        >>> describe_options(None, amp=True, auto_scale_lr=False)
        '--amp'
    """
    words = [f'--{name.replace("_", "-")}' for name, given in flags.items()
             if given]
    if processes > 1:
        words.append(f'--num-processes {processes}')
    return ' '.join(
        words + ([f'--weights (SHA-256 {file_hash(weights)}...)']
                 if weights else []))


def read_result(folder: Path) -> Optional[Result]:
    """Read the result of a finished training.

    Args:
        folder (Path): Its work directory.

    Returns:
        Result | None: None if it has not finished.
    """
    path = folder / 'result.json'
    if not path.is_file():
        return None
    return Result(**json.loads(path.read_text(encoding='utf-8')))


def read_results(jobs: Sequence[Job],
                 say: Callable[[str], None] = print) -> Dict[Cell, Result]:
    """Read the results of the trainings that have finished.

    Args:
        jobs (Sequence[Job]): The trainings.
        say (Callable): Gets a line with those that are left out, as they were
            trained with another config than the job's.

    Returns:
        dict[Cell, Result]: By training.
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
        say('Left out, as their configs are others than are asked for now: '
            f'{first_names(others, 3)}. Give the options of their training, '
            'or remove them with their folders to train anew.')
    return results


def _is_config_of(job: Job) -> bool:
    return job.config.read_text(encoding='utf-8') == job.text


def run_jobs(jobs: Sequence[Job],
             devices: Sequence[Optional[str]],
             train: Sequence[str],
             options: str = '',
             keep_checkpoints: bool = False,
             launch: Sequence[str] = (sys.executable, ),
             processes: int = 1,
             say: Callable[[str], None] = print) -> Dict[Cell, str]:
    """Train what has no result yet, one training per device at a time.

    A training that was stopped goes on from its latest checkpoint.

    Args:
        jobs (Sequence[Job]): In the order in which they are started.
        devices (Sequence[str | None]): As many at a time: the number of a
            GPU, or None for a CPU process, which gets its part of the cores
            where ``OMP_NUM_THREADS`` is not set.
        train (Sequence[str]): tools/train.py, and arguments for all runs.
        options (str): Those that change a result, see
            :func:`describe_options`. Defaults to none.
        keep_checkpoints (bool): Keep the checkpoints of finished trainings.
            Defaults to False.
        launch (Sequence[str]): What starts a program. Defaults to this
            Python.
        processes (int): As many does it start; they share the cores. Defaults
            to 1.
        say (Callable): Gets a line for each training that ends.

    Returns:
        dict[Cell, str]: The cells that failed, with the end of their log.

    Raises:
        ValueError: If a folder holds a training with another config or other
            options, or a finished training has no score of the metric.
        RuntimeError: If a training is running in a folder already.
    """
    for job in jobs:
        prepare_folder(job, options)
    todo = [job for job in jobs if read_result(job.folder) is None]
    say(f'{len(jobs) - len(todo)} of {len(jobs)} trainings have a result.')
    free = Queue()
    for device in devices:
        free.put(device)
    failed = {}
    progress = _Progress(todo, len(devices))
    running = []
    stopped = Event()

    def work(job: Job) -> None:
        if stopped.is_set():
            return
        device = free.get()
        try:
            error = _train(job, device, processes * len(devices),
                           [*launch, *train], running)
        except BaseException:
            stopped.set()
            raise
        finally:
            free.put(device)
        if error is not None:
            failed[job.cell] = error
            say(f'{job.cell.path} failed, see {job.folder / "out.log"}')
            return
        if not keep_checkpoints:
            for checkpoint in job.folder.glob('*.pth'):
                checkpoint.unlink()
        say(progress.after(job, read_result(job.folder)))

    with ThreadPoolExecutor(len(devices)) as pool:
        futures = [pool.submit(work, job) for job in todo]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stopped.set()
            for process in running:
                process.terminate()
            raise
    return failed


class _Progress:
    """Time left, from the images that are still to be trained on."""

    def __init__(self, todo: Sequence[Job], parallel: int) -> None:
        self.total = len(todo)
        self.left = sum(job.images for job in todo)
        self.parallel = parallel
        self.done = self.images = 0
        self.seconds = 0.

    def after(self, job: Job, result: Result) -> str:
        self.done += 1
        self.left -= job.images
        self.images += job.images
        self.seconds += result.seconds
        left = self.seconds / self.images * self.left / self.parallel
        return (f'[{self.done}/{self.total}] {job.cell.path}: '
                f'{result.last:.2f} in {result.seconds / 60:.1f} min; about '
                f'{left / 60:.0f} min left')


def _train(job: Job, device: Optional[str], parallel: int,
           train: Sequence[str], running: list) -> Optional[str]:
    """Run the training; return the end of its log if it fails."""
    environment = dict(os.environ, OMP_WAIT_POLICY='PASSIVE')
    if device is None:
        environment['CUDA_VISIBLE_DEVICES'] = ''
        environment.setdefault('OMP_NUM_THREADS',
                               str(max(1, usable_cores() // parallel)))
    else:
        environment['CUDA_VISIBLE_DEVICES'] = device
    start = time.time()
    log = job.folder / 'out.log'
    with open(log, 'a', encoding='utf-8') as out:
        _lock(out)
        process = subprocess.Popen([
            *train,
            str(job.config), '--work-dir',
            str(job.folder), '--resume'
        ],
                                   env=environment,
                                   stdout=out,
                                   stderr=subprocess.STDOUT)
        running.append(process)
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
            'perhaps of an earlier start that was killed. Wait until it ends, '
            f'or end it: `fuser {out.name}` tells its processes.') from None
    except OSError:
        return  # a file system without locks
