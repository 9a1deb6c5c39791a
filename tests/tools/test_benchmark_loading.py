"""The benchmark of loading prints every transform of the pipeline."""
import pytest
from mmengine.config import Config

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.benchmark.loading_benchmark import (
    benchmark_loading,
    format_loading,
)


@pytest.mark.parametrize('options, message', [
    (['--images', '0'], '--images: 0 must be at least 1'),
    (['--cfg-options', 'val_dataloader=None', '--loader', 'val_dataloader'],
     'has no val_dataloader')])
def test_the_tool_refuses(run_python, repo_root, tiny_config, options,
                          message):
    done = run_python(repo_root / 'tools/benchmark_loading.py', tiny_config,
                      *options, fails=True)
    assert message in done.stdout


def test_wrapped_data_and_more_images_than_there_are(tiny_config):
    cfg = Config.fromfile(tiny_config)
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset)
    costs = benchmark_loading(cfg, images=1000, repeats=2)
    assert all(plain >= 0 and cached >= 0 for _, plain, cached in costs)


def test_data_that_are_not_loaded_from_disk_are_refused(tiny_config):
    cfg = Config.fromfile(tiny_config)
    cfg.test_dataloader.dataset.pipeline[0] = dict(
        type='LoadImageFromFile', backend_args=dict(backend='petrel'))
    with pytest.raises(ValueError, match='test_dataloader: LoadImage'):
        benchmark_loading(cfg, 'test_dataloader')


def test_the_last_row_is_the_sum():
    text = format_loading([('A', 1, .5), ('B', 2, 2)])
    assert text.endswith('| all | 3.00 | 2.50 |')
