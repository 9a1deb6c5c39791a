"""The tools by their names."""
import re
import sys

import pytest

from csd_mmpretrain import __main__ as program


def test_a_tool_by_its_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['csd', 'train', '--help'])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 0
    assert '--check-data' in capsys.readouterr().out


@pytest.mark.parametrize('args', [[], ['trian'], ['--help']])
def test_all_tools_are_named(monkeypatch, repo_root, args):
    monkeypatch.setattr(sys, 'argv', ['csd', *args])
    with pytest.raises(SystemExit) as ended:
        program.main()
    named = str(ended.value).split()
    for path in (repo_root / 'tools').rglob('*.*'):
        if path.suffix in ('.py', '.sh'):
            assert path.stem in named
    assert re.search('^  predict +Predict photos$', str(ended.value), re.M)


def test_scripts_run_in_this_python(monkeypatch):
    started = []
    monkeypatch.setattr(program.os, 'execvp', lambda *args: started.append(
        args))
    monkeypatch.setenv('PYTHON', 'other')
    monkeypatch.setattr(program.runpy, 'run_path', lambda *a, **k: None)
    monkeypatch.setattr(sys, 'argv', ['csd', 'dist_train', 'x.py', '2'])
    program.main()
    (_, command), = started
    assert command[0] == 'bash' and command[2:] == ['x.py', '2']
    assert program.os.environ['PYTHON'] == sys.executable
