"""Packing for TorchServe, and its handler as the server calls it."""
import json
import runpy
import sys
import zipfile

import pytest

SERVER = """
import importlib.util, json, os, sys
from types import SimpleNamespace

folder, image = sys.argv[1:]
manifest = json.load(open(os.path.join(folder, 'MAR-INF/MANIFEST.json')))
name = manifest['model']['handler']
spec = importlib.util.spec_from_file_location(
    name[:-3], os.path.join(folder, name))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
handler = module.MMPreHandler()
handler.initialize(SimpleNamespace(
    manifest=manifest,
    system_properties=dict(model_dir=folder, gpu_id=None, batch_size=2)))
body = open(image, 'rb').read()
data = handler.preprocess([dict(body=body), dict(data=bytearray(body))])
print('ANSWER' + json.dumps(handler.postprocess(handler.inference(data))))
"""
# Of torchserve, which needs Java to run, the handler uses this class alone.
STAND_IN = """
class BaseHandler:
    pass
"""


@pytest.fixture
def pack(repo_root, monkeypatch):
    pytest.importorskip('model_archiver')

    def run(*args):
        tool = str(repo_root / 'tools/torchserve/mmpretrain2torchserve.py')
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        runpy.run_path(tool, run_name='__main__')

    return run


def test_the_server_answers_as_the_inferencer(pack, run_python, tiny_config,
                                              trained, tiny_data, tmp_path):
    from mmpretrain import ImageClassificationInferencer
    pack(tiny_config, trained.checkpoint, '--output-folder', tmp_path / 'out',
         '--model-name', 'leaves', '--model-version', '2.0')
    unpacked = tmp_path / 'unpacked'
    with zipfile.ZipFile(tmp_path / 'out' / 'leaves.mar') as archive:
        archive.extractall(unpacked)
    assert (unpacked / 'config.py').is_file()
    manifest = json.loads((unpacked / 'MAR-INF/MANIFEST.json').read_text())
    assert manifest['model']['modelName'] == 'leaves'
    assert manifest['model']['modelVersion'] == '2.0'

    stand_in = tmp_path / 'path' / 'ts' / 'torch_handler'
    stand_in.mkdir(parents=True)
    for folder in (stand_in, stand_in.parent):
        (folder / '__init__.py').touch()
    (stand_in / 'base_handler.py').write_text(STAND_IN)
    server = stand_in.parents[1] / 'server.py'
    server.write_text(SERVER)
    image = tiny_data / 'test' / 'class3' / '0.png'
    log = run_python(server, unpacked, image).stdout
    answer = json.loads(log.rpartition('ANSWER')[2])
    inferencer = ImageClassificationInferencer(
        str(tiny_config), pretrained=str(trained.checkpoint), device='cpu')
    expected, = inferencer(str(image))
    assert len(answer) == 2 and answer[0] == answer[1]
    assert answer[0]['pred_class'] == expected['pred_class']
    assert answer[0]['pred_scores'] == pytest.approx(
        expected['pred_scores'].tolist(), abs=1e-5)


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
