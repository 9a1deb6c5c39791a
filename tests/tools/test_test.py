"""tools/test.py on a checkpoint of the project's own training."""
import json
import re

import pytest
import torch

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.datasets.eval_images import eval_steps
from csd_mmpretrain.evaluation.predictions import read_predictions
from csd_mmpretrain.runtime import run_options


def config_of(*args):
    args = run_options.make_test_parser().parse_args([str(a) for a in args])
    return run_options.make_test_config(args)


def accuracy(log):
    return float(re.findall(r'accuracy/top1: (\d+\.\d+)', log)[-1])


def test_metrics_and_drawings(trained, run_python, repo_root, tiny_config,
                              tmp_path):
    """The metrics are those of the last validation."""
    out = tmp_path / 'metrics.json'
    done = run_python(repo_root / 'tools/test.py', tiny_config,
                      trained.checkpoint, '--work-dir', tmp_path, '--out', out,
                      '--out-item', 'metrics', '--show-dir',
                      tmp_path / 'drawn', '--interval', '6')
    assert accuracy(done.stdout) == accuracy(trained.log)
    found = json.loads(out.read_text())
    assert found['accuracy/top1'] == pytest.approx(
        accuracy(trained.log), abs=1e-3)
    assert 'Run:' not in done.stdout  # the header belongs to a training
    assert list((tmp_path / 'drawn').rglob('*.png'))


def test_tta_and_predictions(trained, run_python, repo_root, tiny_config,
                             tmp_path):
    out = tmp_path / 'predictions.json'
    done = run_python(repo_root / 'tools/test.py', tiny_config,
                      trained.checkpoint, '--work-dir', tmp_path, '--tta',
                      '--amp', '--out', out)
    assert 'accuracy/top1' in done.stdout
    # The record of a training in this folder would be tiny.py.
    saved, = tmp_path.glob('*.py')
    assert saved.name == 'tiny_test.py'
    cfg = run_options.load_config(str(saved))
    assert build_bare_model(cfg).backbone
    steps = [step.type for step in eval_steps(cfg)]
    assert steps == ['LoadImageFromFile', 'ResizeEdge', 'CenterCrop',
                     'PackInputs']
    with pytest.raises(ValueError, match='--tta: .* already'):
        config_of(saved, trained.checkpoint, '--tta')
    found = json.loads(out.read_text())
    assert len(found) == 12 and {*found[0]} == {
        'img_path', 'gt_label', 'pred_label', 'pred_score'}
    scores = read_predictions(str(out)).scores
    assert scores.shape == (12, 6)
    assert [[row] for row in scores.argmax(1)] == [
        row['pred_label'] for row in found]


def test_nan_weights_are_no_result(trained, run_python, repo_root, tiny_config,
                                   tmp_path):
    content, path = torch.load(trained.checkpoint), tmp_path / 'nan.pth'
    content['state_dict']['backbone.conv1.conv.weight'][0] = float('nan')
    torch.save(content, path)
    stock = tmp_path / 'stock.py'  # without this package's hooks
    stock.write_text(f'_base_ = {str(tiny_config)!r}\n'
                     'default_hooks = dict(_delete_=True)\n')
    done = run_python(repo_root / 'tools/test.py', stock, path,
                      '--work-dir', tmp_path / 'run', fails=True)
    assert 'finite before the first step: backbone.conv1.conv.weight' in (
        done.stdout)
    assert 'accuracy' not in done.stdout.splitlines()[-1]


def test_default_tta_is_the_image_and_its_mirror(trained, tiny_config):
    cfg = config_of(tiny_config, trained.checkpoint, '--tta')
    assert cfg.model.type == 'AverageClsScoreTTA'
    assert cfg.model.module.type == 'ImageClassifier'
    *steps, tta = cfg.test_dataloader.dataset.pipeline
    assert [step.type for step in steps] == [
        'LoadImageFromFile', 'ResizeEdge', 'CenterCrop'
    ]
    views, packs = tta.transforms
    assert [view.prob for view in views] == [1., 0.]
    assert [pack.type for pack in packs] == ['PackInputs']


def test_configured_tta_is_used(trained, tiny_config, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {str(tiny_config)!r}\n'
                    'tta_model = dict(type="Mine")\n'
                    'tta_pipeline = [dict(type="MyViews")]\n')
    cfg = config_of(path, trained.checkpoint, '--tta')
    assert cfg.model.type == 'Mine'
    assert cfg.test_dataloader.dataset.pipeline == [dict(type='MyViews')]


@pytest.mark.parametrize('options, message', [
    (['nowhere.pth'], 'nowhere.pth'),
    (['CHECKPOINT', '--out-item', 'pred'], '--out FILE'),
    (['CHECKPOINT', '--tta', '--show'], 'one view'),
])
def test_bad_options(trained, tiny_config, options, message):
    options = [trained.checkpoint if option == 'CHECKPOINT' else option
               for option in options]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        config_of(tiny_config, *options)


@pytest.mark.parametrize('options, message', [
    (['m.txt', '--out-item', 'metrics'], 'of metrics must end in .yaml'),
    (['metrics', '--out-item', 'metrics'], 'of metrics must end in .yaml'),
    (['m.PKL', '--out-item', 'metrics'], 'of metrics must end in .yaml'),
    (['m.yaml'], 'of predictions must end in .json, .pkl'),
    (['m.csv', '--out-item', 'pred'], 'of predictions must end in .json'),
])
def test_files_that_nothing_writes(run_python, repo_root, options, message):
    """They are refused before anything is looked for, so there is none."""
    done = run_python(repo_root / 'tools/test.py', 'config.py', 'gone.pth',
                      '--out', *options, fails=True)
    assert f'--out {options[0]}: the name of a file {message}' in done.stdout


def test_drawing_needs_its_hook(trained, tiny_config, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {str(tiny_config)!r}\n'
                    'default_hooks = dict(_delete_=True)\n')
    with pytest.raises(ValueError, match='default_hooks.visualization'):
        config_of(path, trained.checkpoint, '--show-dir', 'drawn')
