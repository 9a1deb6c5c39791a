"""Every command of the docs is one that the tools understand.

A shell runs each block with stand-ins for Python and for the scripts, which
write down what they are started with; the tools' own parsers read it, and the
configs are loaded with the changed settings.
"""
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from csd_mmpretrain.benchmark.suite import load_suite
from csd_mmpretrain.runtime.run_options import (
    load_config,
    make_test_parser,
    make_train_parser,
)

REPO = Path(__file__).resolve().parents[1]
COMMAND = r'^[^#\n]*(?:python tools/|tools/\w+\.sh|\bcsd \w)'
PAGES = [page for page in sorted([
    *REPO.glob('*.md'), *REPO.glob('docs/**/*.md'),
    *REPO.glob('configs/*/*.md')])
    if re.search(r'tools/|^csd ', page.read_text('utf-8'), re.M)]
CONFIG, WEIGHTS = 'configs/csdnet/grocery81.py', 'some.pth'
# What a page leaves open, and an example of it.
PLACEHOLDERS = {
    r'\$?\bCONFIG2?\b|\bconfigs/my_leaves\.py|\bmy_c\w+\.py|'
    r'\b(leaves/leaves|enrolled/enrolled)\.py|csd_mmpretrain::csdnet/\S+':
    CONFIG,
    r'\$?\b(CHECKPOINT2?|PRETRAINED|WEIGHTS|BACKBONE\.pth|START\.pth)\b|'
    r'(?<=--weights )FILE\b': WEIGHTS,
    r'\bSUITE\b': 'configs/benchmark/grocery81_test.py'}
STAND_IN = """
note() { printf '%s\\037' "$@"; echo; } >>"$RECORD"
python() { note "$@"; }
csd() { note csd "$@"; }
"""
BY_NAME = {path.stem: path.relative_to(REPO).as_posix()
           for path in (REPO / 'tools').rglob('*.*')}
PARSERS = {'tools/train.py': make_train_parser,
           'tools/test.py': make_test_parser}


def texts(page):
    """The blocks of a shell, and the lines of code in a table."""
    text = page.read_text(encoding='utf-8')
    found = re.findall(r'^ *```(?:bash|shell)\n(.*?)^ *```', text,
                       re.M | re.S)
    found += re.findall(r'\| `((?:(?:python )?tools/|csd )[^`]+)` \|', text)
    return [block for block in found
            if 'tools/' in block or re.search(COMMAND, block, re.M)]


def commands(text, folder):
    """What a block starts: lists of a tool and its arguments."""
    for pattern, example in PLACEHOLDERS.items():
        text = re.sub(pattern, example, text)
    for name in [WEIGHTS, *re.findall(r'[\w./-]+\.pth\b', text)]:
        if not os.path.isabs(name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    for script in REPO.glob('tools/*.sh'):
        copy = folder / 'tools' / script.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(f'#!/bin/bash\n{STAND_IN}note "$0" "$@"\n')
        copy.chmod(0o755)
    subprocess.run(['/bin/bash', '-c', STAND_IN + text], cwd=folder,
                   env=dict(PATH='', RECORD=str(folder / 'record')),
                   stderr=subprocess.DEVNULL, timeout=20)
    record = folder / 'record'
    lines = record.read_text().splitlines() if record.exists() else []
    return [line.split('\x1f')[:-1] for line in lines]


def parse(command):
    """Read a command by the tool's own parser; None if it leaves things open.
    """
    if command[0] == 'csd':
        command = [BY_NAME[command[1]], *command[2:]]
    tool, *args = command
    if tool.endswith('.sh'):
        kind = 'train' if 'train' in tool else 'test'
        skipped = 2 if 'slurm' in tool else 0
        places = 1 if kind == 'train' else 2
        rest = args[skipped + places + 1:]
        if 'slurm' in tool and kind == 'test':
            rest = args[skipped + places:]
        args = [*args[skipped:skipped + places], *rest]
        tool = f'tools/{kind}.py'
    if not tool.startswith('tools/') or '...' in args:
        return tool, None
    if tool in PARSERS:
        return tool, PARSERS[tool]().parse_args(args)
    spec = importlib.util.spec_from_file_location('tool', REPO / tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.argv = [tool, *args]
    return tool, module.parse_args()


def check_settings(cfg, options):
    """Each setting changes one that is there, or adds one to those beside."""
    for key in options or {}:
        place = cfg
        for part in key.split('.')[:-1]:
            assert part.isdigit() or part in place, key
            place = place[int(part) if part.isdigit() else part]


@pytest.mark.parametrize(
    'page', PAGES, ids=lambda page: page.relative_to(REPO).as_posix())
def test_commands_are_understood(page, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    # Of a reader with a GPU.
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    for number, text in enumerate(texts(page)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = commands(text, folder)
        assert len(found) >= len(re.findall(COMMAND, text, re.M)), text
        for command in found:
            monkeypatch.chdir(folder)
            tool, args = parse(command)
            monkeypatch.chdir(REPO)
            if args is None:
                continue
            if tool == 'tools/benchmark_accuracy.py':
                suite = load_suite(args.suite)
                names = {method.name for method in suite.methods}
                assert {*(args.methods or ())} <= names, command
                continue
            for name in ('config', 'data_config'):
                path = getattr(args, name, None)
                if not path:
                    continue
                cfg = load_config(path)
                if name == 'config':
                    check_settings(cfg, getattr(args, 'cfg_options', None))
            if hasattr(args, 'data_config'):
                # Labels of training and test images are needed.
                assert cfg.get('train_dataloader') and (
                    cfg.get('test_dataloader') or cfg.get('val_dataloader')
                ), command
            if getattr(args, 'mode', None) == 'view':
                assert args.checkpoint, 'would download weights'


def test_what_the_docs_leave_out_would_be_found(tmp_path):
    """The check itself sees loops, comments, quotes and wrong options."""
    found = commands(
        'for n in 1 2; do\n  CSD_DATA_ROOT=data python tools/train.py CONFIG '
        '\\\n    --work-dir "work dirs/$n"  # twice\ndone\n'
        'tools/dist_test.sh $CONFIG CHECKPOINT 4 --amp', tmp_path)
    assert found == [
        ['tools/train.py', CONFIG, '--work-dir', 'work dirs/1'],
        ['tools/train.py', CONFIG, '--work-dir', 'work dirs/2'],
        ['tools/dist_test.sh', CONFIG, WEIGHTS, '4', '--amp']]
    assert parse(found[2])[1].amp
    with pytest.raises(SystemExit):
        parse(['tools/train.py', CONFIG, '--no-such-option'])
    with pytest.raises(AssertionError, match='optimzer'):
        check_settings(load_config(str(REPO / CONFIG)),
                       {'optim_wrapper.optimzer.lr': 1})
