"""mmpretrain's own tools, as installed, on the project's configs."""
import pickle
import re

import pytest
import torch


@pytest.fixture
def run_tool(run_python, mmpretrain_tools):
    """Run one of mmpretrain's tools, and give back what it printed."""

    def run(name, *args):
        return run_python(mmpretrain_tools / name, *args).stdout

    return run


def test_train_and_resume(run_tool, tiny_config, tmp_path):
    command = ['train.py', tiny_config, '--work-dir', tmp_path]
    log = run_tool(*command, '--cfg-options', 'train_cfg.max_epochs=1')
    assert 'Run:' in log and 'Best epoch: 1' in log
    log = run_tool(*command, '--resume')
    assert 'resumed epoch: 1, iter: 4' in log
    assert 'Epoch(train) [2][4/4]' in log and 'last epoch: 2' in log
    torch.load(tmp_path / 'epoch_2.pth', weights_only=True)


@pytest.mark.parametrize('options', [(), ('--tta', )])
def test_test(run_tool, tiny_config, trained, tmp_path, options):
    log = run_tool('test.py', tiny_config, trained.checkpoint, '--work-dir',
                   tmp_path, *options)
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)


def test_get_flops(run_tool, tiny_config):
    log = run_tool('analysis_tools/get_flops.py', tiny_config, '--shape', '32')
    assert re.search(r'Flops: [\d.]+M', log)


def test_confusion_matrix(run_tool, tiny_config, trained, tmp_path):
    out = tmp_path / 'matrix.pkl'
    run_tool('analysis_tools/confusion_matrix.py', tiny_config,
             trained.checkpoint, '--out', out)
    matrix = pickle.loads(out.read_bytes())
    assert matrix.shape == (6, 6) and matrix.sum() == 12


def test_analyze_results(run_tool, tiny_config, trained, tmp_path):
    results = tmp_path / 'results.pkl'
    run_tool('test.py', tiny_config, trained.checkpoint, '--work-dir',
             tmp_path, '--out', results)
    run_tool('analysis_tools/analyze_results.py', tiny_config, results,
             '--out-dir', tmp_path / 'drawn', '--topk', '2')
    drawn = list((tmp_path / 'drawn').rglob('*.png'))
    assert 0 < len(drawn) <= 4


def test_publish_model(run_tool, trained, tmp_path):
    run_tool('model_converters/publish_model.py', trained.checkpoint,
             tmp_path / 'csdnet.pth')
    published, = tmp_path.glob('csdnet*.pth')
    content = torch.load(published, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['dataset_meta']['classes'][5] == 'class5'
