"""A user's path through tools/kfold-cross-valid.py."""
import json
import shutil

import pytest
from mmengine.config import Config


def test_stopped_fold_goes_on_in_two_processes(run_python, repo_root,
                                               tiny_config, trained,
                                               tmp_path):
    fold = tmp_path / 'fold0'
    fold.mkdir()
    # As if it had been stopped after the first epoch.
    shutil.copy(trained.work_dir / 'epoch_1.pth', fold)
    (fold / 'last_checkpoint').write_text(str(fold / 'epoch_1.pth'))
    (fold / 'options.txt').write_text('--num-processes 2')
    run_python(repo_root / 'tools/kfold-cross-valid.py', tiny_config,
               '--num-splits', 2, '--fold', 0, '--work-dir', tmp_path,
               '--launcher', 'pytorch', '--num-processes', 2, '--resume')
    log = (fold / 'out.log').read_text()
    assert 'resumed epoch: 1' in log and 'GPU number: 2' in log
    result = json.loads((fold / 'result.json').read_text())
    assert result['epochs'] == 2 and 0 <= result['last'] <= 100

    def summary(num_splits, *options):
        return run_python(
            repo_root / 'tools/kfold-cross-valid.py', tiny_config,
            '--num-splits', num_splits, '--work-dir', tmp_path, '--summary',
            *options).stdout

    out = tmp_path / 'held out' / 'predictions.json'
    assert 'of 12 held-out images, by 1 of 2 folds' in summary(
        2, '--out', out)
    rows = json.loads(out.read_text())
    config = Config.fromfile(tmp_path / 'fold0.py')
    assert len(rows) == len(config.val_dataloader.dataset.indices) == 12
    right = [row['pred_label'] == row['gt_label'] for row in rows]
    assert 100 * sum(right) / 12 == pytest.approx(result['last'], abs=1e-3)
    found = json.loads((tmp_path / 'summary.json').read_text())
    assert found['missing'] == [1]
    assert found['last_mean'] == result['last']

    # Nothing else is averaged with folds of other settings.
    for log in (summary(3), summary(2, '--seed', 1),
                summary(2, '--cfg-options', 'optim_wrapper.optimizer.lr=1')):
        assert 'Left out' in log and f'{fold}.py' in log
        assert 'No fold has a result' in log

    # Two processes made steps of twice the batch.
    log = run_python(repo_root / 'tools/kfold-cross-valid.py', tiny_config,
                     '--num-splits', 2, '--work-dir', tmp_path, '--resume',
                     fails=True).stdout
    assert '--num-processes 2, but now the options are none' in log


@pytest.mark.parametrize('options, message', [
    (['--num-splits', '1'], 'at least 2 folds'),
    (['--num-splits', '3', '--fold', '3'], 'expected 0 to 2'),
    (['--num-splits', '3', '--out', 'x.pkl'], 'must end in .json'),
])
def test_bad_options(run_python, repo_root, tiny_config, options, message):
    log = run_python(repo_root / 'tools/kfold-cross-valid.py', tiny_config,
                     *options, fails=True).stdout
    assert message in log
