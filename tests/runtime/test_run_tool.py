"""Errors of tools in words."""
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from torch._utils import ExceptionWrapper

from csd_mmpretrain.runtime.run_tool import SIZES, error_text, run_tool

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def raised(raise_it):
    try:
        raise_it()
    except Exception as error:
        return error


def fail(error):
    def main():
        raise error
    return main


@pytest.mark.parametrize('error, text', [
    (ValueError('Set a to b.'), 'ValueError: Set a to b.'),
    (FileNotFoundError('There is no x.'), 'FileNotFoundError: There is no x.'),
    (OSError(28, 'No space left'), 'OSError: [Errno 28] No space left')])
def test_a_clear_error_is_one_line(error, text):
    assert error_text(raised(fail(error))) == text


def test_an_error_without_words_has_the_line_of_code():
    def main():
        assert 1 > 2
    text = error_text(raised(main))
    assert text.startswith('AssertionError') and ': assert 1 > 2)' in text
    text = error_text(raised(lambda: int('a')))
    assert text.startswith('ValueError: invalid literal') and 'line' in text
    text = error_text(raised(lambda: {}['batch_size']))
    assert text.startswith('KeyError: batch_size (')


def test_an_error_of_a_data_worker_is_the_original_one():
    try:
        raise ValueError('a.png:\n  is broken\nReplace it.')
    except ValueError:
        wrapped = ExceptionWrapper(where='in DataLoader worker process 0')
    assert error_text(raised(wrapped.reraise)) == (
        'ValueError: a.png:\n  is broken\nReplace it.')


def test_images_of_several_sizes_have_a_remedy():
    def main():
        torch.stack([torch.zeros(1), torch.zeros(2)])
    assert error_text(raised(main)).endswith(SIZES)
    worker = ExceptionWrapper(
        (RuntimeError, raised(main), None), 'in DataLoader worker 0')
    assert error_text(raised(worker.reraise)).endswith(SIZES)


def test_the_log_has_the_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['train.py'])
    path = tmp_path / 'run.log'
    logger = MMLogger.get_instance('test_run_tool', log_file=str(path))
    try:
        with pytest.raises(SystemExit) as ended:
            run_tool(fail(ValueError('Set a to b.')))
    finally:
        MMLogger._instance_dict.pop('test_run_tool')
        for handler in logger.handlers:
            handler.close()
    first, last = str(ended.value).splitlines()
    assert str(path) in first and last == 'ValueError: Set a to b.'
    assert 'Traceback' in path.read_text()
    assert logger.level <= logging.INFO


def test_debug_raises_the_error_itself(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['train.py', '--debug'])
    with pytest.raises(ValueError, match='Set a to b'):
        run_tool(fail(ValueError('Set a to b.')))


def test_a_crash_tells_where_it_was():
    code = ('from csd_mmpretrain.runtime.run_tool import run_tool\n'
            'import ctypes\n'
            'run_tool(lambda: ctypes.string_at(0))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True,
                          text=True)
    assert done.returncode < 0 and 'Segmentation fault' in done.stderr
    assert 'run_tool' in done.stderr


@pytest.mark.parametrize('path', sorted(TOOLS.rglob('*.py')),
                         ids=lambda path: path.stem)
def test_every_tool_starts_and_reads_its_options_in_one_way(path):
    text = path.read_text()
    assert text.endswith('\n    run_tool(main)\n')
    assert 'ArgumentParser' not in text
    # The package, which says what torch or mmpretrain lacks, comes first.
    modules = re.findall(r'^(?:import|from) (\w+)', text, re.M)
    others = {'PIL', 'cv2', 'matplotlib', 'mmengine', 'mmpretrain', 'numpy',
              'rich', 'torch'}
    assert not others & {*modules[:modules.index('csd_mmpretrain')]}
