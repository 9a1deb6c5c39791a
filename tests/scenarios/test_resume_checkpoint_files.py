"""What is on the disk at every moment of a run, and what a resume finds."""
import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import (
    FlexibleRunner,
    Runner,
    find_latest_checkpoint,
    save_checkpoint,
)
from torch import nn

pytest.importorskip('hypothesis')
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from csd_mmpretrain.checkpoints.checkpoint_files import (
    LOCK,
    RECORD,
    FolderLock,
    WholeFileBackend,
    newest_whole,
    read_record,
    saved_steps,
    whole_files,
    write_whole,
)
from csd_mmpretrain.checkpoints.checkpoint_files import (
    _fault_of as fault_of,
)
from csd_mmpretrain.hooks.checkpoint_match_hook import CheckpointMatchHook
from csd_mmpretrain.hooks.exact_resume_hook import ExactResumeHook
from csd_mmpretrain.hooks.plain_checkpoint_hook import PlainCheckpointHook

NAMES = itertools.count()
FSYNC = os.fsync


class Killed(BaseException):
    """Ends a run like a kill: nothing in the program handles it."""


class Toy(BaseModel):

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x, mode='tensor'):
        y = self.layer(torch.stack(x))
        return dict(loss=y.pow(2).mean()) if mode == 'loss' else [y]


class NoMetric(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(score=0., error=0.)


class ScoreHook(Hook):
    """Give every epoch the score that the test wants."""
    priority = 'VERY_HIGH'

    def __init__(self, scores):
        self.scores = scores

    def after_val_epoch(self, runner, metrics=None):
        metrics.update(self.scores.get(runner.epoch, {}))


SCORES = {
    1: dict(score=.5, error=.5),
    2: dict(score=.7, error=.6),
    3: dict(score=.6, error=.2)
}


def make_runner(work_dir, epochs=3, hook=None, kind=Runner, **kwargs):
    torch.manual_seed(0)
    loader = dict(
        batch_size=2,
        dataset=[dict(x=torch.full((2, ), float(i))) for i in range(4)],
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='pseudo_collate'))
    checkpoint = dict(
        type='SafeCheckpointHook',
        interval=1,
        max_keep_ckpts=1,
        save_best='score',
        rule='greater')
    checkpoint.update(hook or {})
    return kind(
        Toy(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            loader, batch_sampler=dict(type='SeededBatchSampler')),
        val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg=dict(),
        val_evaluator=[NoMetric()],
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=.1)),
        default_hooks=dict(checkpoint=checkpoint),
        custom_hooks=[
            ExactResumeHook(), PlainCheckpointHook(), ScoreHook(SCORES)
        ],
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        log_level='WARNING',
        experiment_name=f'files{next(NAMES)}',
        **kwargs)


def files(folder):
    """Checkpoints and the rest that a hook has written there."""
    return sorted(
        path.name for path in folder.iterdir() if path.is_file()
        and path.name not in (RECORD, LOCK) and path.suffix != '.py')


class Disk:
    """Counts what is done to files, and ends the run before operation n."""

    OPERATIONS = 'fsync', 'replace', 'remove'

    def __init__(self, monkeypatch):
        self.done, self.last = [], None
        for name in self.OPERATIONS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, operation):

        def run(*args):
            if len(self.done) == self.last:
                raise Killed
            self.done.append((operation.__name__, *args))
            # A real fsync would only make the test wait.
            return None if operation is FSYNC else operation(*args)

        return run


def state(folder):
    """What the run's last checkpoint says, and the files that are there."""
    last = find_latest_checkpoint(folder)
    content = torch.load(last)
    info = content['message_hub']['runtime_info']
    kept = {
        key: os.path.basename(value) if 'ckpt' in key else value
        for key, value in info.items()
        if key.startswith('best') or key == 'last_ckpt'
    }
    weights = content['state_dict']['layer.weight'].tolist()
    return (files(folder), os.path.basename(last), kept, weights,
            info['keep_ckpt_ids'], content['meta']['epoch'],
            content['meta']['iter'])


@pytest.mark.parametrize('hook, left', [
    ({}, ['best_score_epoch_2.pth', 'epoch_3.pth']),
    (dict(
        max_keep_ckpts=2,
        save_best=['score', 'error'],
        rule=['greater', 'less']), [
            'best_error_epoch_3.pth', 'best_score_epoch_2.pth', 'epoch_2.pth',
            'epoch_3.pth'
        ]),
    (dict(by_epoch=False, interval=3),
     ['best_score_iter_4.pth', 'iter_6.pth']),
    (dict(interval=2), ['best_score_epoch_2.pth', 'epoch_3.pth']),
], ids=['one best', 'two bests', 'by iteration', 'every other'])
def test_resume_after_a_kill_at_any_moment(hook, left, tmp_path, monkeypatch):
    """Kill before each operation on a file, resume, compare the end."""
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        make_runner(tmp_path / 'whole', hook=hook).train()
    whole, operations = state(tmp_path / 'whole'), disk.done
    assert whole[0] == left
    assert {name for name, *_ in operations} == set(Disk.OPERATIONS)

    for last in range(len(operations)):
        folder = tmp_path / str(last)
        with monkeypatch.context() as patch:
            Disk(patch).last = last
            with pytest.raises(Killed):
                make_runner(folder, hook=hook).train()
        # What is there under a final name is whole, at every moment.
        for path in folder.glob('*.pth'):
            assert fault_of(str(path)) is None
        if (folder / 'last_checkpoint').exists():
            assert fault_of(find_latest_checkpoint(folder)) is None
        make_runner(folder, hook=hook, resume=True).train()
        assert state(folder) == whole, operations[last]


def test_resume_after_a_full_disk(tmp_path, monkeypatch):
    """One error; what was there stays, and a resume goes on from it."""
    hook = dict(max_keep_ckpts=1)
    make_runner(tmp_path / 'whole', hook=hook).train()
    folder = tmp_path / 'full'
    make_runner(folder, epochs=1, hook=hook).train()
    before = {path: path.read_bytes() for path in folder.glob('*.pth')}

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full)
        with pytest.raises(
                OSError, match='epoch_2.pth could not be written .No space '
                'left on device.*--resume') as error:
            make_runner(folder, hook=hook, resume=True).train()
    assert error.value.errno == errno.ENOSPC
    assert {path: path.read_bytes() for path in folder.glob('*')
            if path.suffix in ('.pth', '.part')} == before
    assert find_latest_checkpoint(folder) == str(folder / 'epoch_1.pth')
    make_runner(folder, hook=hook, resume=True).train()
    assert state(folder)[3:] == state(tmp_path / 'whole')[3:]


@pytest.mark.parametrize('moment', ['fsync', 'replace'])
def test_writing_whole_keeps_the_old_file(moment, tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'file'
    write_whole(str(path), b'old')
    assert path.read_bytes() == b'old'

    def fail(*_):
        raise PermissionError(errno.EACCES, 'Permission denied')

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, fail)
        with pytest.raises(PermissionError, match=f'{path} could not be'):
            write_whole(str(path), b'new')
    assert files(path.parent) == ['file'] and path.read_bytes() == b'old'
    write_whole(str(path), b'new')
    assert files(path.parent) == ['file'] and path.read_bytes() == b'new'


def test_local_backend_is_as_before_afterwards(tmp_path):
    with pytest.raises(RuntimeError), whole_files():
        for args in ({}, dict(backend='local')):
            backend = get_file_backend('x', backend_args=args)
            assert type(backend) is WholeFileBackend
        with whole_files():
            pass
        assert type(get_file_backend('x')) is WholeFileBackend
        save_checkpoint(dict(a=1), str(tmp_path / 'a.pth'))
        raise RuntimeError
    for args in ({}, dict(backend='local')):
        assert type(get_file_backend('x', backend_args=args)) is LocalBackend
    assert torch.load(tmp_path / 'a.pth') == dict(a=1)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(
        dict(state_dict=dict(a=torch.rand(40), b=torch.arange(9)),
             meta=dict(epoch=1)), path)
    return path


def test_resume_finds_every_cut(checkpoint):
    whole = checkpoint.read_bytes()
    assert fault_of(str(checkpoint)) is None
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        checkpoint.write_bytes(whole[:length])
        assert re.match('is (empty|cut short)|does not load',
                        fault_of(str(checkpoint))), length


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_resume_finds_damage_in_the_middle(tmp_path_factory, data):
    """A changed byte is found, or it changes nothing of what is loaded."""
    path = tmp_path_factory.mktemp('damaged') / 'epoch_1.pth'
    torch.save(dict(state_dict=dict(a=torch.arange(60.))), path)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    if fault_of(str(path)) is None:
        found = torch.load(path)['state_dict']['a']
        assert torch.equal(found, torch.arange(60.))


def test_faults(tmp_path):
    path = tmp_path / 'a.pth'
    assert fault_of(str(tmp_path)) is None  # a sharded checkpoint
    assert fault_of(str(path)) == 'is missing'
    path.write_bytes(b'')
    assert fault_of(str(path)) == 'is empty'
    path.write_text('not a checkpoint')
    assert fault_of(str(path)).startswith('does not load')
    torch.save(dict(state_dict={}), path, _use_new_zipfile_serialization=False)
    assert fault_of(str(path)) is None
    path.write_bytes(path.read_bytes()[:-5])
    assert fault_of(str(path)).startswith('does not load')


@pytest.mark.parametrize('saved, broken, named, found', [
    ([1, 2, 3], [], 'epoch_3.pth', 3),
    ([1, 2, 3], [], 'epoch_2.pth', 2),  # the record is right
    ([1, 2, 3], [3], 'epoch_3.pth', 2),
    ([9, 10, 11], [10, 11], 'epoch_11.pth', 9),
    ([1, 2, 3], [], 'epoch_7.pth', 3),
    ([1, 2, 9, 10], [2], 'epoch_2.pth', 1),  # 9 and 10: an older trial
    ([2, 9, 10], [2], 'epoch_2.pth', 10),
    ([1, 2, 10], [], '', 10),
    ([1, 2, 10], [10], None, 2),
    ([1, 2], [1, 2], 'epoch_2.pth', None),
    ([], [], None, None),
])
def test_resume_chooses(saved, broken, named, found, tmp_path):
    for step in saved:
        torch.save(dict(state_dict={}), tmp_path / f'epoch_{step}.pth')
    for step in broken:
        (tmp_path / f'epoch_{step}.pth').write_bytes(b'PK\3\4 no zip')
    for other in ('best_score_epoch_11.pth', 'epoch_12.pth.part',
                  'epoch_13-0a1b2c3d.pth', 'my_epoch_14.pth'):
        torch.save(dict(state_dict={}), tmp_path / other)
    named = named and str(tmp_path / named)
    path, faults = newest_whole(str(tmp_path), 'epoch_{}.pth', named)
    assert path == (found and str(tmp_path / f'epoch_{found}.pth'))
    assert {Path(p).name for p, fault in faults.items()
            if fault != 'is missing'} <= {f'epoch_{s}.pth' for s in broken}


@pytest.mark.parametrize('template, name, step', [
    ('epoch_{}.pth', 'epoch_12.pth', 12),
    ('{:04d}.ckpt', '0012.ckpt', 12),
    ('a.b+{}.pth', 'a.b+3.pth', 3),
    ('epoch_{}.pth', 'epoch_12xpth', None),
])
def test_template(template, name, step, tmp_path):
    (tmp_path / name).touch()
    expected = {} if step is None else {step: str(tmp_path / name)}
    assert saved_steps(str(tmp_path), template) == expected


@pytest.fixture
def warnings(monkeypatch):
    """What the runs of a test warn of and tell, deprecations left out."""
    said = []

    def keep(self, text, *_):
        said.extend([text] if 'heckpoint' in text else [])

    for level in ('warning', 'info'):
        monkeypatch.setattr(MMLogger, level, keep)
    return said


KEEP = dict(max_keep_ckpts=3)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def epoch_3(folder):
    return folder / 'epoch_3.pth'


@pytest.mark.parametrize('harm, says', [
    (lambda run: cut(epoch_3(run)), 'epoch_3.pth is cut short or damaged'),
    (lambda run: epoch_3(run).write_bytes(b''), 'epoch_3.pth is empty'),
    (lambda run: epoch_3(run).unlink(), 'epoch_3.pth is missing'),
], ids=['cut', 'empty', 'missing'])
def test_resume_without_the_newest(harm, says, tmp_path, warnings):
    """The one before is used, and the run ends as if nothing had been."""
    folder = tmp_path / 'run'
    make_runner(folder, hook=KEEP).train()
    whole = state(folder)
    harm(folder)
    damaged = epoch_3(folder).exists() and epoch_3(folder).read_bytes()
    warnings.clear()
    runner = make_runner(folder, hook=KEEP, resume=True)
    assert runner.train_loop.runner is runner  # it is built now
    runner.call_hook('before_run')
    text, = [text for text in warnings if says in text]
    assert (f'The run goes on from {folder / "epoch_2.pth"}, the newest whole '
            'checkpoint, instead.') in text
    assert find_latest_checkpoint(folder) == str(folder / 'epoch_2.pth')
    assert damaged == (epoch_3(folder).exists()
                       and epoch_3(folder).read_bytes())
    runner.train()
    assert runner.iter == 6 and state(folder) == whole


@pytest.mark.parametrize('content', [None, ''])
def test_resume_without_a_record(content, tmp_path, warnings):
    make_runner(tmp_path, hook=KEEP).train()
    record = tmp_path / 'last_checkpoint'
    record.unlink()
    if content is not None:
        record.write_text(content)
    runner = make_runner(tmp_path, hook=KEEP, resume=True)
    runner.train()
    assert runner.epoch == 3
    how = 'is missing' if content is None else 'is empty'
    assert any(f'{record} {how}. The run goes on from {epoch_3(tmp_path)}'
               in text for text in warnings)


def test_resume_in_another_folder(tmp_path, warnings):
    """The folder was moved, with all that it holds."""
    hook = dict(out_dir=str(tmp_path / 'out'))
    make_runner(tmp_path / 'old' / 'run', epochs=2, hook=hook).train()
    make_runner(tmp_path / 'whole' / 'run', hook=dict(
        out_dir=str(tmp_path / 'whole_out'))).train()
    for name in 'old', 'out':
        (tmp_path / name).rename(tmp_path / f'new_{name}')
    runner = make_runner(
        tmp_path / 'new_old' / 'run',
        hook=dict(out_dir=str(tmp_path / 'new_out')),
        resume=True)
    runner.train()
    assert any(f'{tmp_path}/out/run/epoch_2.pth is not in {tmp_path}/new_out/'
               'run, the folder of this run. The run goes on from '
               f'{tmp_path}/new_out/run/epoch_2.pth' in text
               for text in warnings)
    assert not (tmp_path / 'out').exists()
    assert files(tmp_path / 'new_out/run') == files(
        tmp_path / 'whole_out/run') != []


@pytest.mark.parametrize('kind', [
    Runner, partial(FlexibleRunner,
                    strategy=dict(type='SingleDeviceStrategy'))])
def test_resume_in_a_copy(kind, tmp_path, warnings):
    """The run that was copied has gone on since, and is left alone."""
    first, copy = tmp_path / 'first', tmp_path / 'copy'
    make_runner(first, epochs=1, hook=KEEP).train()
    shutil.copytree(first, copy)
    make_runner(first, epochs=2, hook=KEEP, resume=True).train()
    before = {path: path.read_bytes() for path in first.glob('*.pth')}
    load_from = None
    if kind is not Runner:  # as tools/train.py does
        load_from = newest_whole(
            str(copy), 'epoch_{}.pth', read_record(str(copy)))[0]
        assert load_from == str(copy / 'epoch_1.pth')
    runner = make_runner(copy, hook=KEEP, resume=True, kind=kind,
                         load_from=load_from)
    runner.train()
    assert runner.iter == 6 and epoch_3(copy).exists()
    assert find_latest_checkpoint(copy) == str(epoch_3(copy))
    assert {path: path.read_bytes() for path in first.glob('*.pth')} == before


def test_a_copy_without_its_checkpoints_is_no_resume(tmp_path, warnings):
    make_runner(tmp_path / 'first', epochs=1).train()
    (tmp_path / 'copy').mkdir()
    for name in (str(tmp_path / 'first/epoch_1.pth'), '..', '/', '.',
                 str(tmp_path / 'copy')):
        (tmp_path / 'copy' / RECORD).write_text(name)
        with pytest.raises(ValueError, match='no whole checkpoint to resume'):
            make_runner(tmp_path / 'copy', resume=True).train()


def test_a_new_training_writes_over_no_other(tmp_path):
    make_runner(tmp_path, epochs=1).train()
    with pytest.raises(FileExistsError, match=r'\(epoch_1.pth\), which a new '
                       r'one .* over. .*--resume.*--work-dir'):
        make_runner(tmp_path).train()
    make_runner(tmp_path, hook=dict(filename_tmpl='second_{}.pth')).train()
    assert {'epoch_1.pth', 'second_3.pth'} < {*files(tmp_path)}


HOLD = """
import sys
from csd_mmpretrain.checkpoints.checkpoint_files import FolderLock

lock = FolderLock(sys.argv[1])
if len(sys.argv) > 2 and not os.fork():
    time.sleep(20)  # a data worker
print('locked', flush=True)
sys.stdin.read()
"""


def test_one_training_at_a_time_in_a_folder(tmp_path):
    other = subprocess.Popen(
        [sys.executable, '-c', 'import os, time' + HOLD, tmp_path, 'worker'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == 'locked\n'
    with pytest.raises(RuntimeError, match='A training is writing into'):
        make_runner(tmp_path).train()
    assert not list(tmp_path.glob('*.pth'))
    make_runner(tmp_path).val()
    other.kill()  # its worker lives on, and holds nothing
    other.wait()
    make_runner(tmp_path).train()
    FolderLock(str(tmp_path)).release()


def test_resume_with_nothing_whole(tmp_path, warnings):
    make_runner(tmp_path, hook=KEEP).train()
    for path in tmp_path.glob('epoch_*.pth'):
        cut(path)
    runner = make_runner(tmp_path, hook=KEEP, resume=True)
    with pytest.raises(ValueError) as error:
        runner.train()
    text = str(error.value)
    assert re.search('no whole checkpoint.*epoch_3.*cut short.*epoch_2.*'
                     'epoch_1.*--work-dir.*--resume FILE', text, re.S)
    assert 'best' not in text
    (tmp_path / 'last_checkpoint').write_text('')
    for path in tmp_path.glob('epoch_*.pth'):
        path.unlink()
    with pytest.raises(ValueError, match='last_checkpoint is empty'):
        make_runner(tmp_path, hook=KEEP, resume=True).train()


def test_resume_with_nothing_there(tmp_path, warnings):
    runner = make_runner(tmp_path, epochs=1, resume=True)
    runner.train()
    assert runner.epoch == 1
    assert any(f'No checkpoint in {tmp_path} to resume from' in text
               for text in warnings)


def test_resume_from_a_named_file_changes_no_record(tmp_path):
    make_runner(tmp_path, hook=KEEP).train()
    cut(epoch_3(tmp_path))
    runner = make_runner(tmp_path, hook=KEEP, resume=True,
                         load_from=str(tmp_path / 'epoch_1.pth'))
    assert runner.train_loop.runner is runner  # it is built now
    runner.call_hook('before_run')
    assert find_latest_checkpoint(tmp_path) == str(epoch_3(tmp_path))


def test_resume_from_another_run_leaves_its_files(tmp_path, warnings):
    first, second = tmp_path / 'first', tmp_path / 'second'
    make_runner(first, epochs=1).train()
    before = files(first)
    assert before == ['best_score_epoch_1.pth', 'epoch_1.pth']
    make_runner(second, resume=True,
                load_from=str(first / 'epoch_1.pth')).train()
    assert files(first) == before
    assert files(second) == ['best_score_epoch_2.pth', 'epoch_3.pth']


@pytest.fixture(scope='module')
def other_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('other')
    make_runner(folder, epochs=1).train()
    return torch.load(folder / 'epoch_1.pth')


@pytest.fixture
def resume_with(other_run, tmp_path):
    """Resume, in a folder of precious files, from what a stranger wrote."""

    def resume(hook=None, **info):
        path, own = tmp_path / 'stranger.pth', tmp_path / 'runs' / 'own'
        content = deepcopy(other_run)
        content['message_hub']['runtime_info'].update(info)
        torch.save(content, path)
        precious = [folder / file for folder in (own, own.parent) for file in (
            'notes.txt', 'photos/leaf.png', 'my_epoch_1.pth', 'epoch_x.pth',
            'best_epoch_1.pth', 'download.pth.part', 'epoch_7.pth/leaf.png',
            'best_score_epoch_7.pth/leaf.png', 'epoch_7.pth/sub/rank0.pth')]
        for file in precious:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text('precious')
        make_runner(own, hook=hook, resume=True, load_from=str(path)).train()
        assert [file for file in precious if not file.is_file()] == []
        return own

    return resume


@pytest.mark.parametrize('key', ['outdated_ckpts', 'best_ckpt', 'last_ckpt'])
@pytest.mark.parametrize('name', [
    '..', '', '.', '../..', '../epoch_1.pth/..', 'notes.txt', 'photos',
    '../photos', 'my_epoch_1.pth', 'epoch_x.pth', 'best_epoch_1.pth',
    'epoch_7.pth', 'best_score_epoch_7.pth', '../epoch_7.pth', 7, None
])
def test_what_a_checkpoint_names_is_not_removed(name, key, resume_with,
                                                tmp_path):
    found = [name, f'{tmp_path}/runs/own/{name}']
    resume_with(best_score=-1.,
                **{key: found if key == 'outdated_ckpts' else name})


@pytest.mark.parametrize('step', ['../my_epoch_1', 'my_epoch_1', '../photos',
                                  'epoch_x', None, 1.5])
def test_kept_steps_of_a_checkpoint_are_not_removed(step, resume_with):
    resume_with(dict(filename_tmpl='{}.pth'), keep_ckpt_ids=[step] * 3 + [1])
    resume_with(keep_ckpt_ids=step)


def test_a_best_score_that_nothing_beats_is_dropped(resume_with):
    for score in (float('inf'), float('nan'), 'high', None):
        own = resume_with(best_score=score)
        assert (own / 'best_score_epoch_2.pth').is_file()


def test_shards_of_an_outdated_checkpoint_are_removed(resume_with, tmp_path):
    linked = tmp_path / 'elsewhere' / 'rank0.pth'
    linked.parent.mkdir()
    linked.touch()
    own = tmp_path / 'runs' / 'own'
    for name in ('epoch_8.pth', 'epoch_7.pth'):
        (own / name).mkdir(parents=True)
        (own / name / 'rank0.pth').touch()
        (own / name / 'zero_pp_rank_0_mp_rank_00_optim_states.pt').touch()
    (own / 'epoch_9.pth').symlink_to(linked.parent)
    resume_with(outdated_ckpts=[f'epoch_{i}.pth' for i in (7, 8, 9)])
    assert not (own / 'epoch_8.pth').exists() and linked.exists()
    assert len(list((own / 'epoch_7.pth').iterdir())) == 2  # the precious


def test_a_resume_runs_no_config_of_a_checkpoint(other_run, tmp_path):
    """mmengine runs the text in ``meta.config``."""
    content, path = deepcopy(other_run), tmp_path / 'stranger.pth'
    content['meta']['config'] = f'open({str(tmp_path / "run")!r}, "w")'
    torch.save(content, path)
    runner = make_runner(tmp_path / 'own', resume=True, load_from=str(path))
    runner.register_hook(CheckpointMatchHook())
    runner.train()
    assert runner.epoch == 3 and not (tmp_path / 'run').exists()


def test_resume_forgets_a_best_that_is_gone(tmp_path, warnings):
    make_runner(tmp_path, epochs=2).train()
    (tmp_path / 'best_score_epoch_2.pth').unlink()
    make_runner(tmp_path, resume=True).train()
    assert any('best_score_epoch_2.pth, is not there' in text
               for text in warnings)
    assert files(tmp_path) == ['best_score_epoch_3.pth', 'epoch_3.pth']
    assert state(tmp_path)[2]['best_score'] == .6  # lower, but it is there


def test_published_files_are_written_whole(tmp_path, monkeypatch):
    hook = dict(published_keys=['meta', 'state_dict'])
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        make_runner(tmp_path, hook=hook).train()
    published = {name for name in files(tmp_path) if '-' in name}
    assert len(published) == 2
    renamed = {Path(done[2]).name: Path(done[1]).name for done in disk.done
               if done[0] == 'replace'}
    assert all(renamed[name] == name + '.part' for name in published)


def test_validation_without_training(tmp_path):
    """mmengine's own hook crashes here, for want of a folder."""
    assert make_runner(tmp_path).val()['score'] == 0
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('save_best', ['top1', ['score', 'top1']])
def test_a_best_score_that_is_not_reported(save_best, tmp_path):
    hook = dict(save_best=save_best, rule='greater')
    with pytest.raises(ValueError, match="save_best='top1', but the "
                       'validation reports score, error'):
        make_runner(tmp_path, 1, hook).train()


def test_resume_with_flexible_runner(tmp_path):
    """Left alone it counts an epoch too many after a validation."""
    kind = partial(
        FlexibleRunner, strategy=dict(type='SingleDeviceStrategy'))
    make_runner(tmp_path, epochs=2, kind=kind).train()
    meta = torch.load(tmp_path / 'epoch_2.pth')['meta']
    assert (meta['epoch'], meta['iter']) == (2, 4)
    runner = make_runner(tmp_path, kind=kind, resume=True)
    runner.train()
    assert runner.iter == 6
    assert files(tmp_path) == ['best_score_epoch_2.pth', 'epoch_3.pth']
