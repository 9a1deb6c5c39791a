import re

import pytest


@pytest.mark.slow
def test_resume_after_a_kill_ends_like_an_unbroken_run(run_python, repo_root,
                                                       tmp_path):
    script = repo_root / 'tests/scenarios/kill_and_resume.py'
    done = run_python(script, '--kills', 1, '--folder', tmp_path)
    assert 'identical' in done.stdout
    assert re.search(r'1 kills \(\d while .*\), 1 resumes, 40 steps',
                     done.stdout)
