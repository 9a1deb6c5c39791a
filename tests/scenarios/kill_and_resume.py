r"""Kill a training at random moments, resume it, and compare with a whole one.

python tests/scenarios/kill_and_resume.py [--kills 20] [--seed 0] \
    [--folder DIR]

CSDNet on drawn leaves, saved after every step, trains once without a break.
Then it trains again, and after a random number of steps, and either a random
part of a second or when a checkpoint is just being written, the process and
its workers get SIGKILL; `tools/train.py --resume` goes on. In the end both
runs must have left the same weights, averaged weights, queue, optimizer and
schedules, bit for bit.
"""
import argparse
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

REPO = Path(__file__).resolve().parents[2]
STEPS_PER_EPOCH = 20
STEPS_PER_LIFE = 20
CONFIG = """
_base_ = '{repo}/configs/csdnet/demo.py'

train_cfg = dict(max_epochs={epochs}, val_interval=2)
few = dict(train_per_class=8, test_per_class=2)
train_dataloader = dict(batch_size=8, dataset=few)
val_dataloader = dict(dataset=few)
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=1), logger=dict(interval=10))
custom_hooks = [dict(type='EMAHook')]
model = dict(head=dict(contrast=dict(own_image=False)))
randomness = dict(deterministic=True)
"""
COMPARED = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')


def start(folder: Path, name: str) -> subprocess.Popen:
    """Start a training, or go on with it, in a process group of its own."""
    command = [
        sys.executable, REPO / 'tools/train.py', folder / 'config.py',
        '--resume', '--work-dir', folder / name, '--cfg-options',
        'train_dataloader.dataset.pipeline.1.scale=64'
    ]
    env = dict(
        os.environ, CSD_DATA_ROOT=str(folder), OMP_NUM_THREADS='1',
        PYTHONPATH=os.pathsep.join(
            [str(REPO), *filter(None, [os.environ.get('PYTHONPATH')])]))
    with open(folder / f'{name}.log', 'a') as log:
        return subprocess.Popen(
            list(map(str, command)),
            env=env, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True)


def last_step(run: Path) -> int:
    """The step of the newest checkpoint."""
    steps = [
        int(re.sub(r'\D', '', path.stem)) for path in run.glob('iter_*.pth')
    ]
    return max(steps, default=0)


def finish(process: subprocess.Popen, folder: Path, name: str) -> None:
    """Wait for the end of a training, and stop if it failed."""
    if process.wait():
        log = (folder / f'{name}.log').read_text()
        sys.exit(f'{name} failed:\n{log[-3000:]}')


def fingerprint(run: Path, steps: int) -> str:
    """Hash all that the last checkpoint restores."""
    digest = hashlib.sha256()

    def add(value):
        if isinstance(value, dict):
            for key in value:
                digest.update(str(key).encode())
                add(value[key])
        elif isinstance(value, (list, tuple)):
            for item in value:
                add(item)
        elif isinstance(value, torch.Tensor):
            digest.update(value.cpu().contiguous().numpy().tobytes())
        else:
            digest.update(repr(value).encode())

    content = torch.load(run / f'iter_{steps}.pth', weights_only=True)
    for name in COMPARED:
        add(content[name])
    return digest.hexdigest()[:16]


def main() -> None:
    """Run the whole comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--folder', type=Path)
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix='stress'))
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(args.seed)
    epochs = 1 + args.kills * STEPS_PER_LIFE // STEPS_PER_EPOCH
    steps = epochs * STEPS_PER_EPOCH

    (folder / 'config.py').write_text(
        CONFIG.format(repo=REPO.as_posix(), epochs=epochs))

    print(f'{steps} steps without a break, in {folder}', flush=True)
    finish(start(folder, 'unbroken'), folder, 'unbroken')
    writing = 0
    for kill in range(1, args.kills + 1):
        run = folder / 'killed'
        process = start(folder, 'killed')
        target = last_step(run) + draw.randint(1, STEPS_PER_LIFE - 2)
        while last_step(run) < target and process.poll() is None:
            time.sleep(.005)
        time.sleep(draw.uniform(0, .2))
        if draw.random() < .5:
            end = time.time() + 10
            while time.time() < end and not any(run.glob('*.part')):
                pass
        if process.poll() is not None:
            finish(process, folder, 'killed')
            sys.exit('The run ended before it could be killed.')
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        cut = sorted(path.name for path in run.glob('*.part'))
        writing += bool(cut)
        print(f'kill {kill}: after step {last_step(run)}'
              f'{", while writing " + ", ".join(cut) if cut else ""}',
              flush=True)
    finish(start(folder, 'killed'), folder, 'killed')

    log = (folder / 'killed.log').read_text()
    resumes = len(re.findall(r'resumed epoch: \d+, iter: [1-9]', log))
    hashes = [fingerprint(folder / name, steps)
              for name in ('unbroken', 'killed')]
    print(f'{args.kills} kills ({writing} while a checkpoint was written), '
          f'{resumes} resumes, {steps} steps\n'
          f'unbroken {hashes[0]}\nkilled   {hashes[1]}')
    if hashes[0] != hashes[1]:
        sys.exit('The runs differ.')
    print('identical')


if __name__ == '__main__':
    main()
