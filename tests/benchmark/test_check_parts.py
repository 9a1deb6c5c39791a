"""A check that stops at nothing, and its report."""
import os
import re
import sys
import time

import pytest

from csd_mmpretrain.benchmark.check_parts import (
    Part,
    format_check,
    machine_table,
    run_part,
    run_parts,
)


def python(code, **more):
    return Part(code[:9], [sys.executable, '-c', code], **more)


def test_every_part_runs_whatever_fails_before_it():
    outcomes = run_parts([
        python('print("| a |"); import sys; print("log", file=sys.stderr)'),
        python('print("before"); raise ValueError("why")'),
        python('import os; os.kill(os.getpid(), 11)'),
        Part('nothing', ['/no/such/program']),
        python('import time; print("on"); time.sleep(60)', limit=1),
        python('import os; print("x 1\\ny 2\\nx", os.environ["WORD"])',
               lines='^x', environment=dict(WORD='3')),
    ], minutes=5)
    results = [done.result for done in outcomes]
    assert results[0] == results[5] == 'ok'
    assert results[1] == 'failed with exit code 1'
    assert results[2] == 'failed with exit code -11'
    assert results[3].startswith('failed: ') and 'no/such' in results[3]
    assert results[4] == 'stopped after 1 s'
    assert outcomes[0].text == '| a |'
    assert 'before' in outcomes[1].text
    assert 'ValueError: why' in outcomes[1].text
    assert outcomes[5].text == '```text\nx 1\nx 3\n```'
    report = format_check(outcomes)
    assert report.startswith('| part | result | s |\n| :--- | :--- | ---: |\n')
    assert report.count('\n#### ') == 4  # those that have something to tell


def test_what_does_not_fit_in_the_time_is_left_out():
    start = time.monotonic()
    slow = python('import time; time.sleep(60)')
    outcomes = run_parts([slow, slow], minutes=1 / 60)
    assert time.monotonic() - start < 20
    assert outcomes[0].result == 'stopped after 1 s'
    assert outcomes[1].result == 'left out, as the time was over'


@pytest.mark.skipif(os.name == 'nt', reason='no process groups')
def test_the_children_of_a_stopped_part_end_with_it(tmp_path):
    marks = tmp_path / 'marks'
    child = (f'import time\nwhile True: open({str(marks)!r}, "a").write(".");'
             ' time.sleep(.05)')
    done = run_part(python(
        'import subprocess, sys; subprocess.run([sys.executable, "-c", '
        f'{child!r}])', limit=3))
    assert done.result == 'stopped after 3 s'
    size = marks.stat().st_size
    time.sleep(.5)
    assert size and marks.stat().st_size == size


def test_the_machine_is_named():
    table = machine_table('cpu')
    for text in (r'\| device \| .*CPU', r'\| torch \| \d', r'\| numpy \| \d'):
        assert re.search(text, table)
