"""Packing for TorchServe."""
import runpy
import sys
import zipfile

import pytest


@pytest.fixture
def pack(repo_root, monkeypatch):
    pytest.importorskip('model_archiver')

    def run(*args):
        tool = str(repo_root / 'tools/torchserve/mmpretrain2torchserve.py')
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args), '--debug'])
        runpy.run_path(tool, run_name='__main__')

    return run


def test_an_older_archive_is_kept(pack, tiny_config, trained, tmp_path):
    args = [tiny_config, trained.checkpoint, '--output-folder', tmp_path]
    archive = tmp_path / 'epoch_2.mar'
    archive.write_text('older')
    with pytest.raises(FileExistsError, match='--force'):
        pack(*args)
    assert archive.read_text() == 'older'
    pack(*args, '--force')
    assert zipfile.is_zipfile(archive)


@pytest.mark.parametrize('case, error, message', [
    ('no archiver', ImportError, 'csd_mmpretrain.deploy'),
    ('no checkpoint', FileNotFoundError, 'There is no checkpoint'),
])
def test_errors(pack, monkeypatch, tiny_config, tmp_path, case, error,
                message):
    if case == 'no archiver':
        monkeypatch.setitem(sys.modules, 'model_archiver.model_packaging',
                            None)
    with pytest.raises(error, match=message):
        pack(tiny_config, tmp_path / 'gone.pth', '--output-folder', tmp_path)
