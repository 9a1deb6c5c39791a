"""tools/visualization/epic.py on a trained CSDNet, as a user runs it."""
import re
import shutil
from importlib.util import find_spec

import torch
from PIL import Image

FIT = ('--parametrization', 'cayley', '--prototypes', 4, 2, '--rounds', 2,
       '--epochs', 2, '--batch-size', 10000)


def accuracy(done):
    return re.findall(r'accuracy/top1: +([\d.]+)', done.stdout)[-1]


def test_fit_explain_fold_and_again(repo_root, run_python, tiny_config,
                                    trained, tiny_data, tmp_path):
    tool = repo_root / 'tools/visualization/epic.py'
    config = tmp_path / 'larger.py'
    config.write_text(
        f"_base_ = '{tiny_config.as_posix()}'\n"
        'pipeline = [\n'
        "    dict(type='LoadImageFromFile'),\n"
        "    dict(type='Resize', scale=96),\n"
        "    dict(type='PackInputs')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n')
    out = tmp_path / 'out'
    done = run_python(tool, config, trained.checkpoint, '--out', out, *FIT,
                      '--explain', '--num', 2, '--pages', 1, '--fold')
    assert '24 maps of 1280 channels and 3 x 3 positions' in done.stdout
    assert re.search(r'The fit needs up to \d+ MB of memory', done.stdout)
    before, after = map(float, re.search(
        r'purity ([\d.]+) -> ([\d.]+)', done.stdout).groups())
    assert before < after
    assert 'unchanged: 24 of 24 predictions equal' in done.stdout
    assert 'Test images unchanged: 12 of 12' in done.stdout
    names = {path.name for path in out.iterdir()}
    assert names >= {'epic.pth', 'report.html', 'explanation_1.png',
                     'explanation_2.png', 'purity.png', 'folded.py',
                     'folded.pth'}
    assert not {'maps.npy', 'maps.pth', 'rounds.pth'} & names
    report = (out / 'report.html').read_text()
    assert '<script' not in report and 'src="http' not in report
    assert ('Nothing is shown beside' in done.stdout) == (
        find_spec('pytorch_grad_cam') is None)
    saved = torch.load(out / 'epic.pth', weights_only=True)
    assert len(saved['files']) == 24

    # The folded classifier is one of mmpretrain, with the same accuracy.
    test = repo_root / 'tools/test.py'
    work = '--work-dir', tmp_path / 'work'
    assert accuracy(run_python(test, out / 'folded.py', out / 'folded.pth',
                               *work)) == accuracy(
        run_python(test, config, trained.checkpoint, *work))

    # The folder is used again for other images, and for nothing else.
    photo = tmp_path / 'photo.png'
    shutil.copy(next((tiny_data / 'test').glob('*/*.png')), photo)
    done = run_python(tool, config, trained.checkpoint, '--out', out,
                      '--explain', photo, '--pairs', 0, '--pages', 0,
                      '--fade')
    assert 'Read ' in done.stdout and 'Feature maps' not in done.stdout
    assert 'photo.png' in (out / 'report.html').read_text()
    assert Image.open(out / 'explanation_1.png').width > 500
    for arguments, message in (
        ((config, trained.checkpoint, '--rounds', 5),
         'rounds=2, but rounds=5 is asked for'),
        ((config, trained.work_dir / 'epoch_1.pth'), 'fitted on the weights'),
        ((tiny_config, trained.checkpoint), 'another preprocessing')):
        done = run_python(tool, *arguments, '--out', out, fails=True)
        assert message in done.stdout
