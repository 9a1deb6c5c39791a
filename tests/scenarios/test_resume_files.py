"""tools/train.py --resume after kills and damage, in processes of its own."""
import os

import torch
from mmengine.runner import find_latest_checkpoint

# Ends the process without notice in the middle of writing epoch_2.pth.
DYING_DISK = """
import os
from pathlib import Path

PART = Path({part!r})
fsync = os.fsync


def die_in_the_middle(descriptor):
    if PART.exists():
        PART.write_bytes(PART.read_bytes()[:5000])
        os._exit(9)
    fsync(descriptor)


os.fsync = die_in_the_middle
"""


def test_resume_after_a_kill_while_writing(run_python, repo_root, tiny_config,
                                           trained, tmp_path):
    work_dir = tmp_path / 'run'
    part = work_dir / 'epoch_2.pth.part'
    (tmp_path / 'dying_disk.py').write_text(DYING_DISK.format(part=str(part)))
    config = tmp_path / 'tiny.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "custom_imports = dict(imports=['csd_mmpretrain', 'dying_disk'])\n")
    train = repo_root / 'tools/train.py'
    killed = run_python(
        train, config, '--work-dir', work_dir, fails=True,
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ['PYTHONPATH']]))
    assert killed.returncode == 9
    assert part.stat().st_size == 5000
    assert not (work_dir / 'epoch_2.pth').exists()
    assert find_latest_checkpoint(work_dir) == str(work_dir / 'epoch_1.pth')

    done = run_python(train, tiny_config, '--work-dir', work_dir, '--resume')
    assert 'resumed epoch: 1, iter: 4' in done.stdout
    assert 'last epoch: 2,' in done.stdout
    assert 'instead' not in done.stdout
    names, expected = ({path.name for path in folder.iterdir()
                        if path.is_file()}
                       for folder in (work_dir, trained.work_dir))
    assert names == expected


def test_resume_of_two_processes_with_a_cut_checkpoint(
        run_program, free_port, repo_root, tiny_config, trained, tmp_path):
    """The damage is reported once, and all processes use the one before."""
    for path in trained.work_dir.glob('*.pth'):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    newest = tmp_path / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:-1000])
    (tmp_path / 'last_checkpoint').write_text(str(newest))
    done = run_program(
        '-m', 'torch.distributed.run', '--nproc_per_node=2',
        f'--master_port={free_port()}', repo_root / 'tools/train.py',
        tiny_config, '--work-dir', tmp_path, '--resume', '--launcher',
        'pytorch')
    assert done.stdout.count(
        f'epoch_2.pth is cut short or damaged (File is not a zip file). The '
        f'run goes on from {tmp_path / "epoch_1.pth"}, the newest whole '
        'checkpoint, instead.') == 1
    assert 'resumed epoch: 1, iter: 4' in done.stdout
    assert torch.load(newest)['meta']['epoch'] == 2
