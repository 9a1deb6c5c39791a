"""Test-time augmentation through tools/test.py, against views by hand."""
import mmengine
import numpy as np
import pytest
import torch
from mmcv.transforms import CenterCrop
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.datasets.transforms.corner_crop import PLACES
from csd_mmpretrain.runtime.run_options import (
    load_config,
    make_test_config,
    make_test_parser,
)
from csd_mmpretrain.runtime.tta_views import VIEWS, set_tta

IDENTITY = """
_base_ = {base!r}
tta_model = dict(type='AverageClsScoreTTA')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=40),
    dict(type='TestTimeAug', transforms=[
        [dict(type='CenterCrop', crop_size=32)], [dict(type='PackInputs')]]),
]
"""


def load_images(files, place):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose([
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=40),
            dict(type='CornerCrop', crop_size=32, place=place),
            dict(type='PackInputs')
        ])
    return [pipeline(dict(img_path=str(file)))['inputs'] for file in files]


@pytest.fixture(scope='module')
def files(tiny_data):
    return sorted((tiny_data / 'test').rglob('*.png'))


@pytest.fixture(scope='module')
def checkpoint(tiny_config, files, tmp_path_factory):
    """A model whose scores differ from view to view.

    Two epochs of two steps leave one that gives all images the same.
    """
    torch.manual_seed(0)
    model = build_bare_model(load_config(str(tiny_config))).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of what it sees
    with torch.no_grad():
        data = model.data_preprocessor(
            dict(inputs=load_images(files, 'center')))
        model.backbone(data['inputs'])
        model.head.cls_head.fc.weight *= 100
    path = tmp_path_factory.mktemp('model') / 'model.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def scores(run_python, repo_root, tiny_config, checkpoint, tmp_path_factory):
    """Scores of the test images, by the options of tools/test.py."""
    folder = tmp_path_factory.mktemp('tta')
    identity = folder / 'identity.py'
    identity.write_text(IDENTITY.format(base=tiny_config.as_posix()))

    def predict(name, config, *options):
        out = folder / f'{name}.pkl'
        run_python(repo_root / 'tools/test.py', config, checkpoint,
                   '--work-dir', folder, '--out', out, *options)
        return np.stack([r['pred_score'] for r in mmengine.load(out)])

    found = {'none': predict('none', tiny_config),
             'identity': predict('identity', identity, '--tta')}
    for views in VIEWS:
        found[views] = predict(views, tiny_config, '--tta-views', views)
    return found


@pytest.fixture(scope='module')
def single_views(tiny_config, checkpoint, files):
    """Scores of each crop and its mirror image."""
    model = build_bare_model(load_config(str(tiny_config))).eval()
    load_checkpoint(model, str(checkpoint), map_location='cpu')
    found = {}
    for place in PLACES:
        images = load_images(files, place)
        for mirror in (False, True):
            data = model.data_preprocessor(
                dict(inputs=[i.flip(-1) if mirror else i for i in images]))
            with torch.no_grad():
                samples = model.head.predict(
                    model.extract_feat(data['inputs']))
            found[place, mirror] = np.stack(
                [sample.pred_score for sample in samples])
    return found


def test_identity_alone_is_no_augmentation(scores):
    np.testing.assert_allclose(scores['identity'], scores['none'], atol=1e-6)


@pytest.mark.parametrize('views, places, mirrors', [
    ('flip', PLACES[:1], (False, True)),
    ('five-crop', PLACES, (False, )),
    ('ten-crop', PLACES, (False, True)),
])
def test_views_are_averaged(scores, single_views, views, places, mirrors):
    expected = np.mean([single_views[place, mirror] for place in places
                        for mirror in mirrors], axis=0)
    # Logits of up to 80: their rounding moves a score by some 1e-5.
    np.testing.assert_allclose(scores[views], expected, atol=1e-4)
    assert abs(scores[views] - scores['none']).max() > 0.01


def make(*args):
    return make_test_config(make_test_parser().parse_args(list(args)))


def test_views_of_the_option_replace_those_of_the_config(
        tiny_config, trained, tmp_path):
    path = tmp_path / 'identity.py'
    path.write_text(IDENTITY.format(base=tiny_config.as_posix()))
    cfg = make(str(path), str(trained.checkpoint), '--tta-views', 'ten-crop')
    crops, flips, _ = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert (len(crops), len(flips)) == (5, 2)


def test_crops_need_a_crop(tiny_config, trained, tmp_path):
    path = tmp_path / 'whole.py'
    path.write_text(f'_base_ = {str(tiny_config)!r}\n'
                    "pipeline = [dict(type='LoadImageFromFile'), "
                    "dict(type='PackInputs')]\n"
                    'test_dataloader = dict('
                    'dataset=dict(pipeline=pipeline))\n')
    with pytest.raises(ValueError, match='in place of CenterCrop, but the '
                       'test pipeline has LoadImageFromFile, PackInputs'):
        make(str(path), str(trained.checkpoint), '--tta-views', 'five-crop')


def test_wrapped_data_and_class_types():
    pipeline = [dict(type='LoadImageFromFile'),
                dict(type=CenterCrop, crop_size=32),
                dict(type='PackInputs')]
    parts = [dict(type='CustomDataset', pipeline=pipeline) for _ in 'ab']
    cfg = Config(dict(
        model=dict(type='ImageClassifier'),
        test_dataloader=dict(
            dataset=dict(type='ConcatDataset', datasets=parts))))
    set_tta(cfg, 'five-crop')
    for part in cfg.test_dataloader.dataset.datasets:
        assert part.pipeline[-1].type == 'TestTimeAug'
        assert len(part.pipeline[-1].transforms[0]) == len(PLACES)
    cfg.test_dataloader.dataset = dict(pipeline=pipeline[::2])
    with pytest.raises(ValueError, match='has LoadImageFromFile, PackInputs'):
        set_tta(cfg, 'five-crop')
