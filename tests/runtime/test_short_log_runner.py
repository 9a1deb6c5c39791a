"""The start of a run's log."""
from csd_mmpretrain.runtime.short_log_runner import ShortLogRunner


def test_a_person_can_read_the_start_of_a_log(trained):
    start, header = trained.log.split('Run:\n')
    assert len(start.splitlines()) < 60
    for kept in ('MMEngine: ', 'PyTorch: ', 'OpenCV: ', 'seed: 0'):
        assert kept in start
    assert 'train data' in header
    log, = trained.work_dir.glob('*/*.log')
    assert len(log.read_text().split('Run:\n')[0].splitlines()) < 60
    assert list(trained.work_dir.glob('*/vis_data/config.py'))


def test_debug_keeps_all(tiny_config, tmp_path, run_python, repo_root):
    code = tmp_path / 'build.py'
    code.write_text(
        'import sys\n'
        'from csd_mmpretrain.runtime.run_options import load_config\n'
        'from mmengine.registry import RUNNERS\n'
        f'cfg = load_config({str(tiny_config)!r})\n'
        f'cfg.work_dir = {str(tmp_path)!r}\n'
        "cfg.log_level = 'DEBUG'\n"
        'RUNNERS.build(cfg)\n')
    printed = run_python(code).stdout
    for kept in ('Config:\n', 'Hooks will be executed', 'compiling details'):
        assert kept in printed
    assert ShortLogRunner.__name__ in printed
