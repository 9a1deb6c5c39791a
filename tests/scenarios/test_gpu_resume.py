"""On a GPU, a resumed run ends like an uninterrupted one, bit for bit."""
import shutil

import pytest
import torch

OPTIONS = ('--cfg-options', 'randomness.seed=3',
           'randomness.deterministic=True',
           'default_hooks.checkpoint.interval=1',
           'default_hooks.checkpoint.max_keep_ckpts=-1')


@pytest.mark.gpu
@pytest.mark.parametrize('amp', [[], ['--amp']])
def test_a_resumed_run_ends_like_an_unbroken_one(amp, run_script, tiny_config,
                                                 tmp_path):
    def train(name, *args):
        run_script('dist_train.sh', tiny_config, 1, '--work-dir',
                   tmp_path / name, *amp, *args, *OPTIONS,
                   CUDA_VISIBLE_DEVICES='0', CUBLAS_WORKSPACE_CONFIG=':4096:8')
        return torch.load(tmp_path / name / 'epoch_2.pth', map_location='cpu')

    unbroken = train('unbroken')
    (tmp_path / 'resumed').mkdir()
    half = shutil.copy(tmp_path / 'unbroken/epoch_1.pth', tmp_path / 'resumed')
    resumed = train('resumed', '--resume', half)
    for name, value in unbroken['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][name]), name
