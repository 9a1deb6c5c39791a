"""mmpretrain's inferencers on a checkpoint of the project's own training."""
import os

import pytest
import torch
from mmpretrain import (
    FeatureExtractor,
    ImageClassificationInferencer,
    get_model,
    list_models,
)

import csd_mmpretrain


@pytest.fixture(scope='module')
def images(tiny_data):
    return sorted(str(path) for path in tiny_data.glob('test/*/*.png'))


@pytest.mark.parametrize('stage, shapes', [('backbone', [(1280, 1, 1)]),
                                           ('neck', [(1280, )]),
                                           ('pre_logits', (1280, ))])
def test_features(tiny_config, trained, images, stage, shapes):
    extractor = FeatureExtractor(
        str(tiny_config), pretrained=str(trained.checkpoint), device='cpu')
    features, = extractor(images[0], stage=stage)
    if isinstance(features, torch.Tensor):
        assert tuple(features.shape) == shapes
    else:
        assert [tuple(feature.shape) for feature in features] == shapes


def test_the_hub_lists_the_models():
    assert csd_mmpretrain.__version__
    names = list_models('csdnet*')
    assert {'csdnet_cotton80', 'csdnet_demo', 'csdnet_soylocal'} <= set(names)
    assert list_models('peers_grocery81_supcon')
    assert list_models('resnet50_8xb32_in1k')


def test_a_model_by_name(repo_root, monkeypatch, tmp_path):
    monkeypatch.delenv('CSD_DATA_ROOT', raising=False)
    saved = get_model('csdnet_demo')
    weights = str(tmp_path / 'weights.pth')
    classes = [f'leaf{i}' for i in range(20)]
    torch.save(dict(state_dict=saved.state_dict(),
                    meta=dict(dataset_meta=dict(classes=classes))), weights)
    image = torch.arange(140 * 150 * 3).view(140, 150, 3).remainder(251)
    image = image.byte().numpy()

    named = ImageClassificationInferencer(
        'csdnet_demo', pretrained=weights, device='cpu')
    result, = named(image)
    assert result['pred_class'] == f'leaf{result["pred_label"]}'
    by_path = ImageClassificationInferencer(
        str(repo_root / 'configs/csdnet/demo.py'), pretrained=weights)
    assert by_path(image)[0]['pred_scores'] == pytest.approx(
        result['pred_scores'], abs=1e-6)
    extractor = FeatureExtractor('csdnet_demo', pretrained=weights)
    (feature, ), = extractor(image, stage='neck')
    assert feature.shape == (128, )


def test_an_editable_install_registers_its_index(run_program, repo_root,
                                                 tmp_path):
    """The package with its `.mim` folder, as an install lays it out."""
    import shutil
    package = tmp_path / 'csd_mmpretrain'
    shutil.copytree(repo_root / 'csd_mmpretrain', package,
                    ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    (package / '.mim').mkdir()
    for name in ('configs', 'model-index.yml'):
        os.symlink(repo_root / name, package / '.mim' / name)
    program = tmp_path / 'program.py'
    program.write_text("""
import csd_mmpretrain
from mmpretrain.apis import ModelHub
print(csd_mmpretrain.__file__)
print(ModelHub.get('csdnet_cotton80').config.filename)
""")
    lines = run_program(program).stdout.splitlines()
    assert lines[-2] == str(package / '__init__.py')
    assert lines[-1] == str(package / '.mim/configs/csdnet/cotton80.py')
