"""A user's path through tools/kfold-cross-valid.py."""
import json

import pytest
import torch


def test_folds_stop_go_on_and_are_summed_up(run_python, repo_root,
                                            tiny_config, tmp_path):
    tool = repo_root / 'tools/kfold-cross-valid.py'
    command = (tool, tiny_config, '--num-splits', 2, '--work-dir', tmp_path,
               '--no-validate', '--cfg-options', 'train_cfg.max_epochs=1')
    log = run_python(*command, '--fold', 1).stdout
    assert 'Without a result: fold 0' in log
    scalars, = tmp_path.glob('fold1/*/vis_data/scalars.json')

    log = run_python(*command, fails=True).stdout
    assert 'has been trained in already. Go on with --resume' in log

    log = run_python(*command, '--resume').stdout
    assert '1 of 2 trainings have a result' in log
    assert list(tmp_path.glob('fold1/*/vis_data/scalars.json')) == [scalars]
    table = (tmp_path / 'summary.md').read_text()
    assert table in log and '| mean ± deviation |' in table
    found = json.loads((tmp_path / 'summary.json').read_text())
    assert sorted(found['folds']) == ['0', '1'] and not found['missing']
    scores = [fold['last'] for fold in found['folds'].values()]
    assert found['last_mean'] == pytest.approx(sum(scores) / 2)

    # The options have reached the folds, and a checkpoint is kept.
    checkpoint = torch.load(tmp_path / 'fold0/epoch_1.pth', weights_only=True)
    assert checkpoint['meta']['epoch'] == 1
    log = run_python(*command, '--summary').stdout
    assert table in log and 'trainings' not in log


def test_stopped_fold_goes_on_in_two_processes(run_python, repo_root,
                                               tiny_config, tmp_path):
    command = (repo_root / 'tools/kfold-cross-valid.py', tiny_config,
               '--num-splits', 2, '--fold', 0, '--work-dir', tmp_path,
               '--launcher', 'pytorch', '--num-processes', 2)
    run_python(*command)
    fold = tmp_path / 'fold0'
    result = json.loads((fold / 'result.json').read_text())
    # As if it had been stopped after the first epoch.
    for name in ('result.json', 'epoch_2.pth'):
        (fold / name).unlink()
    (fold / 'last_checkpoint').write_text(str(fold / 'epoch_1.pth'))
    run_python(*command, '--resume')
    log = (fold / 'out.log').read_text()
    assert 'resumed epoch: 1' in log and 'GPU number: 2' in log
    again = json.loads((fold / 'result.json').read_text())
    assert again['epochs'] == result['epochs'] == 2
    assert again['last'] == pytest.approx(result['last'])


@pytest.mark.parametrize('options, message', [
    (['--num-splits', '1'], 'at least 2 folds'),
    (['--num-splits', '3', '--fold', '3'], 'expected 0 to 2'),
])
def test_bad_options(run_python, repo_root, tiny_config, options, message):
    log = run_python(repo_root / 'tools/kfold-cross-valid.py', tiny_config,
                     *options, fails=True).stdout
    assert message in log
