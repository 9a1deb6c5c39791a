def test_the_command_that_users_know(run_python, repo_root):
    done = run_python(
        repo_root / 'tools/benchmark_retrieval.py', '--num', 300,
        '--channels', 16, '--num-classes', 7, '--memory', 0.5, '--device',
        'cpu')
    assert '| whole matrix, full sort |' in done.stdout
    assert '0 of 300 queries have another first rank' in done.stdout


def test_bad_options(run_python, repo_root):
    done = run_python(
        repo_root / 'tools/benchmark_retrieval.py', '--num', 0, fails=True)
    assert '--num 0: it must be more than 0' in done.stdout
