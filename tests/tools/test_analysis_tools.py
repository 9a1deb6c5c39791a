"""Confusion, accuracy per class and calibration, as a user asks for them."""
import csv
import os
import pickle
import runpy
import sys
from argparse import Namespace

import mmengine
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from csd_mmpretrain.evaluation.predictions import (
    class_names,
    load_predictions,
    read_predictions,
)
from csd_mmpretrain.runtime.tool_options import PLOTS, plot_file


@pytest.fixture(scope='module')
def tool(run_python, repo_root):
    def run(name, *args, **kwargs):
        return run_python(repo_root / 'tools/analysis_tools' / name, *args,
                          **kwargs).stdout

    return run


def test_checkpoint_and_result_file_are_alike(tiny_config, trained,
                                              predictions):
    by_file = read_predictions(str(predictions))
    by_model = load_predictions(str(tiny_config), str(trained.checkpoint))
    np.testing.assert_allclose(by_file.scores, by_model.scores, atol=1e-6)
    assert (by_file.labels == by_model.labels).all()
    assert by_file.labels.tolist() == [i // 2 for i in range(12)]
    assert by_file.paths == by_model.paths and 'class5' in by_file.paths[-1]


def test_confusion_matrix(tool, tiny_config, predictions, tmp_path):
    names = ('matrix.pkl', 'matrix.png', 'pairs.csv', 'pairs.jpg')
    files = [tmp_path / 'out' / name for name in names]
    tool('confusion_matrix.py', tiny_config, predictions, '--out', files[0],
         '--show-path', files[1], '--include-values', '--pairs-out',
         files[2], '--pairs-path', files[3], '--order', 'confusion',
         '--top', 3, '--cmap', 'Blues', '--dpi', 60)
    found = read_predictions(str(predictions))
    slow = np.zeros((6, 6), int)
    for label, predicted in zip(found.labels, found.predicted):
        slow[label, predicted] += 1
    # A tensor, as mmpretrain's tool writes it.
    assert (pickle.loads(files[0].read_bytes()).numpy() == slow).all()
    with open(files[2], newline='') as file:
        pairs = list(csv.DictReader(file))
    assert 0 < len(pairs) <= 3
    names = class_names(mmengine.Config.fromfile(tiny_config), 6)
    np.fill_diagonal(slow, 0)
    assert int(pairs[0]['images']) == slow.max() == slow[
        names.index(pairs[0]['true class']),
        names.index(pairs[0]['taken for'])]
    for path in (files[1], files[3]):
        assert min(Image.open(path).size) > 100


def test_calibration_with_a_temperature_of_other_images(
        tool, tiny_config, predictions, tmp_path):
    other = mmengine.load(predictions)
    random = np.random.RandomState(0)
    for i, row in enumerate(other):
        row['img_path'] = f'other{i}.png'
        row['gt_label'] = [random.randint(6)]
    held = tmp_path / 'held.pkl'
    mmengine.dump(other, held)
    table = tmp_path / 'table.csv'
    log = tool('calibration.py', tiny_config, predictions,
               '--temperature-from', held, '--out', table, '--bins', 5)
    assert 'fitted on 12 images' in log
    with open(table, newline='') as file:
        plain, scaled = csv.DictReader(file)
    assert plain['accuracy'] == scaled['accuracy']
    assert plain['nll'] != scaled['nll']


def test_temperature_is_never_fitted_on_what_is_tested(tool, tiny_config,
                                                       trained):
    """The validation images of this config are its test images."""
    log = tool('calibration.py', tiny_config, trained.checkpoint,
               '--temperature-from', 'val', fails=True)
    assert '--temperature-from val: 12 of its images are tested on' in log
    assert 'Epoch(test)' not in log


def test_a_config_without_validation_data(tool, tiny_config, trained,
                                          tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {str(tiny_config)!r}\n'
                      'val_dataloader = val_evaluator = val_cfg = None\n')
    log = tool('calibration.py', config, trained.checkpoint,
               '--temperature-from', 'val', fails=True)
    assert 'config.py has no val_dataloader' in log
    assert 'Epoch(test)' not in log


def test_validation_images_that_are_not_tested(repo_root, tiny_config,
                                               tiny_data):
    tool = runpy.run_path(
        str(repo_root / 'tools/analysis_tools/calibration.py'))
    args = Namespace(
        config=str(tiny_config), ckpt_or_result='epoch_2.pth',
        temperature_from='val', cfg_options={
            'val_dataloader.dataset.data_root': str(tiny_data / 'train')})
    tool['check_images'](args)
    assert len(tool['coming_paths'](args, 'val', 'val')) == 24
    args.cfg_options = None
    with pytest.raises(SystemExit, match='12 of its images are tested on'):
        tool['check_images'](args)


@pytest.mark.parametrize('spell', [os.path.relpath, '{}'.format])
@pytest.mark.parametrize('tested', ['checkpoint', 'predictions'])
def test_other_spellings_of_a_file_are_the_same_image(
        tool, tiny_config, trained, predictions, tmp_path, tested, spell):
    linked = tmp_path / 'linked'
    other = mmengine.load(predictions)
    linked.symlink_to(os.path.dirname(os.path.dirname(other[0]['img_path'])))
    for row in other:
        path = row['img_path'].split(os.sep)
        row['img_path'] = spell(str(linked.joinpath(*path[-2:])))
    held = tmp_path / 'held.pkl'
    mmengine.dump(other, held)
    source = trained.checkpoint if tested == 'checkpoint' else predictions
    log = tool('calibration.py', tiny_config, source, '--temperature-from',
               held, fails=True)
    assert '12 of its images are tested on' in log
    assert 'Epoch(test)' not in log


def test_files_that_are_no_predictions(tmp_path, tiny_config):
    with pytest.raises(FileNotFoundError, match='--out .*gone.pkl'):
        load_predictions(str(tiny_config), 'gone.pkl')
    path = tmp_path / 'metrics.pkl'
    for content in ({'accuracy/top1': 3.}, [], [{'pred_score': [1.]}],
                    [{'pred_score': [1.], 'gt_label': [1, 2]}]):
        mmengine.dump(content, path)
        with pytest.raises(ValueError, match='does not hold predictions'):
            read_predictions(str(path))
    mmengine.dump([{'pred_score': [0.5, 0.5], 'gt_label': [2]}], path)
    with pytest.raises(ValueError, match='from 2 to 2, .* are of 2 classes'):
        read_predictions(str(path))
    mmengine.dump([{'pred_score': [0.5, score], 'gt_label': [0]}
                   for score in (.5, float('nan'), float('inf'))], path)
    with pytest.raises(ValueError, match='of 2 of 3 images are not finite, '
                       'such as those of row 1, row 2'):
        read_predictions(str(path))


def test_names_of_the_classes(tiny_config, tmp_path):
    cfg = mmengine.Config.fromfile(tiny_config)
    assert class_names(cfg, 6)[5] == 'class5'
    with pytest.raises(ValueError, match='7 classes, .* data has 6'):
        class_names(cfg, 7)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'elsewhere')
    assert class_names(cfg, 3) == ('0', '1', '2')


@pytest.mark.parametrize('name, options, message', [
    ('confusion_matrix.py', ['--out', 'matrix.json'], 'must end in .pkl'),
    ('confusion_matrix.py', ['--out', 'matrix.PKL'], 'must end in .pkl'),
    ('confusion_matrix.py', ['--pairs-out', 'pairs.MD'], 'must end in .md'),
    ('confusion_matrix.py', ['--show-path', 'a.foo'], 'must end in .png'),
    ('confusion_matrix.py', ['--pairs-path', 'a.foo'], 'must end in .png'),
    ('confusion_matrix.py', ['--cmap', 'Bluse'], "'Bluse' is no color map"),
    ('confusion_matrix.py', ['--dpi', 0], '--dpi: 0 must be at least 1'),
    ('class_accuracy.py', ['--show-path', 'a.foo'], 'must end in .png'),
    ('compare_runs.py', ['--show-path', 'curves'], 'must end in .png'),
    ('calibration.py', ['--show-path', 'a.foo'], 'must end in .png'),
    ('calibration.py', ['--out', '.md'], 'must end in .md or .csv'),
    ('calibration.py', ['--temperature-from', 'gone.pkl'],
     'gone.pkl: there is no such file'),
    ('calibration.py', ['--temperature-from', 'val'], 'needs a checkpoint'),
    ('calibration.py', ['--dpi', 0], '--dpi: 0 must be at least 1'),
])
def test_bad_options(tool, name, options, message):
    assert message in tool(name, 'config.py', 'found.pkl', *options,
                           fails=True)


def test_the_order_by_confusion_without_scipy(repo_root, monkeypatch, capsys):
    program = str(repo_root / 'tools/analysis_tools/confusion_matrix.py')
    monkeypatch.setitem(sys.modules, 'scipy', None)
    monkeypatch.setattr(sys, 'argv', [program, 'config.py', 'found.pkl',
                                      '--order', 'confusion'])
    with pytest.raises(SystemExit):
        runpy.run_path(program, run_name='__main__')
    assert '--order confusion needs scipy' in capsys.readouterr().err


def test_plots_that_matplotlib_writes():
    known = Figure().canvas.get_supported_filetypes()
    assert {ending[1:] for ending in PLOTS} <= set(known)
    assert plot_file('curves.SVG').name == 'curves.SVG'
