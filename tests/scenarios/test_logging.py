import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


def snippet(number, config, folder):
    """Write a config of docs/logging.md that starts from another one."""
    blocks = re.findall(r'^```python\n(.*?)^```',
                        (REPO / 'docs/logging.md').read_text(), re.M | re.S)
    path = folder / 'logged.py'
    path.write_text(
        re.sub(r"_base_ = '.*'", f"_base_ = '{config.as_posix()}'",
               blocks[number]))
    return path


def test_tensorboard_has_the_losses(tmp_path, tiny_config, run_python):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )
    run_python(REPO / 'tools/train.py', snippet(0, tiny_config, tmp_path),
               '--work-dir', tmp_path / 'run', '--cfg-options',
               'train_cfg.max_epochs=1')
    events, = tmp_path.glob('run/*/vis_data/events*')
    written = EventAccumulator(str(events)).Reload()
    assert {
        'loss_cls', 'loss_cls_aug', 'loss_qc', 'loss_ssdt', 'ddl_positives',
        'ssdp_area', 'accuracy/top1'
    } <= set(written.Tags()['scalars'])
    assert len(written.Scalars('loss_qc')) == 4
    assert list(tmp_path.glob('run/*/vis_data/scalars.json'))


def test_wandb_writes_offline(tmp_path, tiny_config, run_python):
    pytest.importorskip('wandb')
    run_python(
        REPO / 'tools/train.py',
        snippet(1, tiny_config, tmp_path),
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        'train_cfg.max_epochs=1',
        WANDB_MODE='offline')
    assert list(tmp_path.glob('run/*/vis_data/wandb/offline-run-*/*.wandb'))


def test_mlflow_has_the_losses(tmp_path, tiny_config, run_python):
    mlflow = pytest.importorskip('mlflow')
    config = snippet(2, tiny_config, tmp_path)
    address = f'sqlite:///{tmp_path.as_posix()}/mlflow.db'
    config.write_text(
        config.read_text().replace('sqlite:///mlflow.db', address))
    run_python(REPO / 'tools/train.py', config, '--work-dir',
               tmp_path / 'run', '--cfg-options', 'train_cfg.max_epochs=1')
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name('csdnet')
    run, = client.search_runs([experiment.experiment_id])
    assert {'loss_qc', 'ssdp_area', 'accuracy/top1'} <= set(run.data.metrics)
