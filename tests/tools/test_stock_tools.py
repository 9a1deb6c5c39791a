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


def test_eval_metric(run_tool, tiny_config, trained, tmp_path):
    results = tmp_path / 'results.pkl'
    run_tool('test.py', tiny_config, trained.checkpoint, '--work-dir',
             tmp_path, '--out', results)
    log = run_tool('analysis_tools/eval_metric.py', results, '--metric',
                   'type=Accuracy', 'topk=1,2')
    assert 'accuracy/top2' in log


def test_analyze_logs(run_tool, trained, tmp_path):
    scalars, *_ = trained.work_dir.glob('*/vis_data/scalars.json')
    curve = tmp_path / 'loss.png'
    run_tool('analysis_tools/analyze_logs.py', 'plot_curve', scalars, '--keys',
             'loss_cls', 'loss_cls_aug', '--out', curve)
    assert curve.stat().st_size
    log = run_tool('analysis_tools/analyze_logs.py', 'cal_train_time', scalars)
    assert 'average iter time' in log


def test_print_config(run_tool, tiny_config):
    assert "type='SSDPHook'" in run_tool('misc/print_config.py', tiny_config)


def test_verify_dataset(run_tool, tiny_config, tmp_path):
    log = run_tool('misc/verify_dataset.py', tiny_config, '--out-path',
                   tmp_path / 'broken.log')
    assert 'There is no broken file' in log


def test_vis_scheduler(run_tool, tiny_config, tmp_path):
    path = tmp_path / 'lr.png'
    run_tool('visualization/vis_scheduler.py', tiny_config, '--not-show',
             '--save-path', path)
    assert path.stat().st_size


def test_publish_model(run_tool, trained, tmp_path):
    run_tool('model_converters/publish_model.py', trained.checkpoint,
             tmp_path / 'csdnet.pth')
    published, = tmp_path.glob('csdnet*.pth')
    content = torch.load(published, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['dataset_meta']['classes'][5] == 'class5'
