"""From photos to a trained ST-ProtoPNet and its report, with programs."""
import runpy
import sys

import pytest
from PIL import Image
from prototype_runs import CLASSES, EPOCHS, config


@pytest.fixture(scope='module')
def tool(repo_root):
    return repo_root / 'tools/visualization/vis_prototypes.py'


@pytest.fixture(scope='module')
def trained(tmp_path_factory, run_python, repo_root, mmpretrain_tools):
    """Trained by mmpretrain's own program, and tested by it."""
    from noise_images import write_noise_images
    images = write_noise_images(tmp_path_factory.mktemp('images'), 3,
                                classes=CLASSES)
    folder = tmp_path_factory.mktemp('prototypes')
    cfg = config(images, folder, log_level='INFO',
                 custom_imports=dict(imports=['csd_mmpretrain']))
    cfg.dump(folder / 'config.py')
    logs = [run_python(mmpretrain_tools / 'train.py', folder / 'config.py',
                       '--work-dir', folder).stdout,
            run_python(mmpretrain_tools / 'test.py', folder / 'config.py',
                       folder / f'epoch_{EPOCHS}.pth', '--work-dir',
                       folder / 'test').stdout]
    return folder, images, logs


def test_mmpretrain_trains_and_tests(trained):
    _, _, (log, tested) = trained
    assert 'Prototypes after push' in log
    last = log.splitlines()[-1]
    assert last.startswith(f'| {EPOCHS} | after tuning |')
    both = float(last.split('|')[5])
    found = float(tested.split('branches/both: ')[1].split()[0])
    assert found == pytest.approx(both, abs=.01)


def test_pages_explanations_and_a_report(trained, run_python, tool, tmp_path):
    folder, images, _ = trained
    done = run_python(
        tool, folder / 'config.py', folder / f'epoch_{EPOCHS}.pth',
        '--images', images / 'class0', images / 'class1/1.png', '--num', 2,
        '--reasons', 2, '--target-category', 'class2', '--classes', 'all',
        '--cam', '--dpi', 40, '--device',
        'cpu', '--out-dir', tmp_path / 'new')
    assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == [
        'class_0.png', 'class_1.png', 'class_2.png', 'explanation_1.png',
        'explanation_2.png', 'report.html']
    assert Image.open(tmp_path / 'new/explanation_1.png').size[0] > 100
    for line in done.stdout.splitlines():
        if ', logit ' in line:
            logit, points = line.split(', logit ')[1].split(' = ')
            numbers = points.split(' of all else')[0].split()
            assert len(numbers) == 5
            assert sum(map(float, numbers)) == pytest.approx(
                float(logit), abs=.004)
    assert done.stdout.count(': class2, logit ') == 2
    text = (tmp_path / 'new/report.html').read_text()
    assert 'after tuning' in text and 'Prototypes of class2' in text


def run(tool, monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', [
        str(arg) for arg in (tool, *args, '--debug')])
    runpy.run_path(str(tool), run_name='__main__')


def test_unpushed_and_unmasked_are_refused(trained, tool, monkeypatch,
                                           tmp_path):
    """Before anything is written."""
    folder, _, _ = trained
    options = '--device', 'cpu', '--out-dir', tmp_path / 'out'
    with pytest.raises(ValueError, match='saved before a push'):
        run(tool, monkeypatch, folder / 'config.py', folder / 'epoch_1.pth',
            *options)
    with pytest.raises(ValueError, match='has no mask'):
        run(tool, monkeypatch, folder / 'config.py',
            folder / f'epoch_{EPOCHS}.pth', '--measure', 2, *options)
    with pytest.raises(ValueError, match="There is no class 'leaf'"):
        run(tool, monkeypatch, folder / 'config.py',
            folder / f'epoch_{EPOCHS}.pth', '--classes', 'leaf', *options)
    assert not list((tmp_path / 'out').iterdir())
