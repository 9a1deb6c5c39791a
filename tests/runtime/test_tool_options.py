from argparse import ArgumentParser

import pytest
import torch

from csd_mmpretrain.runtime.tool_options import add_device


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
