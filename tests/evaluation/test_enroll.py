"""Classes by their mean features."""
import pytest
import torch
from mmengine.config import Config
from noise_images import write_noise_images
from PIL import Image

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.checkpoints.trained_model import load_model
from csd_mmpretrain.datasets.eval_images import eval_pipeline
from csd_mmpretrain.evaluation.enroll import (
    class_means,
    folder_loader,
    means_accuracy,
    save_enrolled,
)
from csd_mmpretrain.evaluation.features import (
    LabelledFeatures,
    collect_features,
)


@pytest.mark.parametrize('count, classes', [(5, 2), (33, 7)])
def test_means_are_those_of_a_loop(count, classes):
    features = torch.randn(count, 6)
    labels = torch.arange(count) % classes
    means = class_means(LabelledFeatures(features, labels), classes)
    right = 0
    for label in range(classes):
        units = [row / row.norm() for row, own in zip(features, labels)
                 if own == label]
        mean = sum(units) / len(units)
        torch.testing.assert_close(means[label], mean / mean.norm())
    for row, own in zip(features, labels):
        right += max(range(classes), key=lambda k: row @ means[k]) == own
    found = LabelledFeatures(features, labels)
    assert means_accuracy(found, means) == pytest.approx(right / count)


def test_a_class_without_an_image():
    found = LabelledFeatures(torch.eye(3), torch.tensor([0, 2, 2]))
    with pytest.raises(ValueError, match='2 of 4 classes.*such as class 1'):
        class_means(found, 4)


PROTOTYPES = dict(
    _delete_=True, type='STProtoPNetHead', num_classes=6, in_channels=1280,
    num_prototypes=2)


@pytest.mark.parametrize('changes', [{}, dict(neck=None, head=PROTOTYPES)])
def test_an_enrolled_model_is_a_classifier(
        tiny_config, tiny_data, tmp_path, changes):
    """The written head gives the nearest mean, for old and new classes."""
    cfg = Config.fromfile(tiny_config)
    cfg.merge_from_dict(dict(model=changes))
    model = build_bare_model(cfg).eval()
    (tmp_path / 'new').mkdir()
    folder = write_noise_images(tmp_path / 'new', 3, size=48, classes=2)
    (folder / 'class1').rename(folder / 'ä new one')
    known = [f'class{i}' for i in range(6)]
    loader, classes = folder_loader(
        str(folder), known, eval_pipeline(cfg), dict(batch_size=4))
    assert classes == [*known, 'ä new one']
    added = collect_features(model, loader)
    assert added.labels.tolist() == [0] * 3 + [6] * 3
    train, _ = folder_loader(str(tiny_data / 'train'), known,
                             eval_pipeline(cfg), dict(batch_size=5))
    joined = LabelledFeatures(*map(
        torch.cat, zip(collect_features(model, train), added)))
    means = class_means(joined, 7)
    config, checkpoint = save_enrolled(
        cfg, model, means, classes, tmp_path / 'out')
    written = Config.fromfile(config)
    loaded = load_model(written, str(checkpoint))
    assert loaded.has_classifier and [*loaded.classes] == classes
    right = 0
    for batch in loader:
        with torch.no_grad():
            found = loaded.model.test_step(batch)
        right += sum(int(s.pred_label == s.gt_label) for s in found)
    assert right / 6 == pytest.approx(means_accuracy(added, means))
    assert written.test_dataloader.dataset['classes'] == classes
    assert written.data_preprocessor.num_classes == 7


def test_broken_photos_are_named(tiny_config, tmp_path):
    (tmp_path / 'a').mkdir()
    Image.new('RGB', (9, 9)).save(tmp_path / 'a/1.png')
    (tmp_path / 'a/2.png').touch()
    with pytest.raises(ValueError, match='2.png.*empty'):
        folder_loader(str(tmp_path), [],
                      eval_pipeline(Config.fromfile(tiny_config)), {})
