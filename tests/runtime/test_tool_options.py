from argparse import ArgumentParser, ArgumentTypeError

import pytest
import torch

from csd_mmpretrain.runtime.tool_options import (
    add_cfg_options,
    add_device,
    amount,
    output_file,
    output_folder,
)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    parser = ArgumentParser()
    add_device(parser)
    assert parser.parse_args([]).device == 'cpu'
    assert parser.parse_args(['--device', 'meta']).device == 'meta'
    for name in ('cuda', 'cuda:1'):
        with pytest.raises(SystemExit):
            parser.parse_args(['--device', name])
        assert f'{name}: torch finds no GPU' in capsys.readouterr().err


def test_settings_keep_blanks_and_need_a_value(capsys):
    parser = ArgumentParser()
    add_cfg_options(parser)
    found = parser.parse_args(['--cfg-options', 'a.b=1', "c=/Anna's day (1)",
                               'd=x=y', 'e=[1, 2]', 'f=a, b', 'g="a b"'])
    assert found.cfg_options == {
        'a.b': 1, 'c': "/Anna's day (1)", 'd': 'x=y', 'e': [1, 2],
        'f': ['a', 'b'], 'g': 'a b'}
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', "a=/Anna's", 'day/all.txt'])
    assert 'day/all.txt is no KEY=VALUE' in capsys.readouterr().err


def test_amounts():
    assert [amount(text) for text in ('0', '1e-4', '3')] == [0, 1e-4, 3]
    for text in ('nan', 'inf', '-inf', '-1e-9', '1e999'):
        with pytest.raises(ArgumentTypeError, match=f'{text} must be a num'):
            amount(text)


def test_no_option_of_a_tool_takes_nan(repo_root):
    """That of the test tool is mmpretrain's."""
    texts = [path.read_text() for path in (repo_root / 'tools').rglob('*.py')]
    assert texts and not any('type=float' in text for text in texts)


def test_an_output_file_keeps_its_content_and_leaves_no_other(tmp_path):
    new = tmp_path / 'a' / 'b' / 'new.md'
    assert output_file(str(new)) == str(new)
    assert not list(tmp_path.iterdir())
    new.parent.mkdir(parents=True)
    new.write_text('old')
    assert output_file(str(new)) == str(new)
    assert new.read_text() == 'old'


@pytest.mark.parametrize('name', ['folder', 'file/x.md', 'file/x/y.md'])
def test_an_output_file_that_cannot_be_written(tmp_path, name):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='cannot be written: .*Choose'):
        output_file(str(tmp_path / name))


def test_output_folder(tmp_path):
    assert output_folder(str(tmp_path / 'a/b')) == str(tmp_path / 'a/b')
    assert not list((tmp_path / 'a/b').iterdir())
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='No files can be written in .*Choose'):
        output_folder(str(tmp_path / 'file'))
