"""The check of a GPU, in its short form on a CPU."""


def test_parts_of_the_short_form(run_python, repo_root, tmp_path):
    out = tmp_path / 'reports' / 'check.md'
    done = run_python(repo_root / 'tools/gpu_check.py', '--short', '--device',
                      'cpu', '--parts', 'images', 'ddl', '--out', out)
    report = out.read_text()
    assert report in done.stdout
    assert '| Images in the format of Cotton80 | ok |' in report
    assert '| DDL | ok |' in report
    assert '| 1000 | DDLQueueLoss |' in report


def test_a_machine_without_a_gpu_is_told_of_the_short_form(run_python,
                                                           repo_root):
    done = run_python(repo_root / 'tools/gpu_check.py', '--device', 'cpu',
                      fails=True)
    assert 'Give --short' in done.stdout
