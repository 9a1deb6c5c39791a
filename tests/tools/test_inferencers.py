"""mmpretrain's inferencers on a checkpoint of the project's own training."""
import pytest
import torch
from mmpretrain import FeatureExtractor, ImageClassificationInferencer


@pytest.fixture(scope='module')
def images(tiny_data):
    return sorted(str(path) for path in tiny_data.glob('test/*/*.png'))


def test_classification(tiny_config, trained, images):
    inferencer = ImageClassificationInferencer(
        str(tiny_config), pretrained=str(trained.checkpoint), device='cpu')
    results = inferencer(images, batch_size=4)
    assert len(results) == 12
    for result in results:
        assert result['pred_scores'].shape == (6, )
        assert result['pred_scores'].sum() == pytest.approx(1, abs=1e-4)
        # The names of the classes travel with the checkpoint.
        assert result['pred_class'] == f'class{result["pred_label"]}'
    single, = inferencer(images[3])
    assert single['pred_scores'] == pytest.approx(
        results[3]['pred_scores'], abs=1e-4)


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
