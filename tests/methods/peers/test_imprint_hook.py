"""Tests of ImprintHook against a loop over the photos."""
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import HOOKS, MODELS
from mmpretrain.structures import DataSample
from noise_images import write_noise_images
from ranks import run_ranks

from csd_mmpretrain.methods.peers import ImprintHook

CLASSES, CHANNELS = 3, 8
ARCFACE = dict(
    type='BoundedArcFaceClsHead', num_classes=CLASSES, in_channels=CHANNELS,
    scale=16., margins=0.2)
PIPELINE = [dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=36), dict(type='CenterCrop',
                                                    crop_size=32),
            dict(type='PackInputs')]
HOOK = dict(type='ImprintHook')


class Convolution(torch.nn.Module):
    """A backbone with batch norm, whose features do not vanish."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, CHANNELS, 3), torch.nn.BatchNorm2d(CHANNELS),
            torch.nn.ReLU())

    def forward(self, x):
        return (self.layers(x), )


def make_model(head=ARCFACE):
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='ImageClassifier', backbone=Convolution(),
        neck=dict(type='GlobalAveragePooling'), head=deepcopy(head),
        data_preprocessor=dict(mean=[120.] * 3, std=[60.] * 3, to_rgb=True)))
    return model.train()


def make_runner(data, head=ARCFACE, iter=0):
    """What the hook takes of a runner; training images are cropped."""
    dataset = dict(type='CustomDataset', data_root=str(data))
    train = dict(dataset, pipeline=[
        PIPELINE[0], dict(type='RandomResizedCrop', scale=32), PIPELINE[-1]])
    loader = dict(batch_size=2, num_workers=0)
    return SimpleNamespace(
        iter=iter, model=make_model(head), logger=MMLogger.get_instance('x'),
        cfg=Config(dict(
            train_dataloader=dict(loader, dataset=train),
            test_dataloader=dict(loader, dataset=dict(
                dataset, pipeline=PIPELINE)))))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Photos of three classes, unequally many, seven in all."""
    root = write_noise_images(tmp_path_factory.mktemp('data'), 4)
    for name in ('class0/3', 'class1/2', 'class1/3', 'class2/1', 'class2/3'):
        (root / f'{name}.png').unlink()
    return root


@torch.no_grad()
def slow_directions(model, data):
    """Mean direction of each class, one photo at a time."""
    load, sums = Compose(deepcopy(PIPELINE)), torch.zeros(CLASSES, CHANNELS)
    model.eval()
    for label in range(CLASSES):
        for path in (data / f'class{label}').iterdir():
            image = load(dict(img_path=str(path)))['inputs']
            inputs = model.data_preprocessor(dict(inputs=[image]))['inputs']
            feature = model.backbone(inputs)[0].mean(dim=(2, 3))
            sums[label] += F.normalize(feature)[0]
    return F.normalize(sums)


@pytest.mark.parametrize('head', [
    ARCFACE, dict(type='CSDHead', cls_head=ARCFACE)],
    ids=lambda head: head['type'])
def test_weights_point_along_the_means_of_a_loop(data, head):
    runner = make_runner(data, head)
    drawn = deepcopy(runner.model.state_dict())
    states = torch.get_rng_state()
    HOOKS.build(HOOK).before_train(runner)

    assert runner.model.training and torch.equal(
        states, torch.get_rng_state())
    found = runner.model.state_dict()
    name, = [name for name in found if name.endswith('norm_product.weight')]
    weight, before = found.pop(name), drawn.pop(name)
    torch.testing.assert_close(weight.norm(dim=1), before.norm(dim=1))
    assert all(torch.equal(found[name], drawn[name]) for name in found)
    torch.testing.assert_close(F.normalize(weight),
                               slow_directions(runner.model, data))


def test_a_class_without_photos_keeps_its_weight(data):
    runner = make_runner(data, dict(ARCFACE, num_classes=5))
    before = runner.model.head.norm_product.weight.detach().clone()
    ImprintHook().before_train(runner)
    same = (runner.model.head.norm_product.weight == before).all(dim=1)
    assert same.tolist() == [False] * CLASSES + [True] * 2


def test_gradients_are_finite_where_a_class_has_one_photo(tmp_path):
    """Its feature and its weight are the same direction."""
    data = write_noise_images(tmp_path, 1)
    runner = make_runner(data)
    ImprintHook().before_train(runner)
    model = runner.model.eval()
    load = Compose(deepcopy(PIPELINE))
    batch = model.data_preprocessor(dict(
        inputs=[load(dict(img_path=str(data / f'class{i}/0.png')))['inputs']
                for i in range(CLASSES)],
        data_samples=[DataSample().set_gt_label(i) for i in range(CLASSES)]))
    model(**batch, mode='loss')['loss'].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_resumed_training_keeps_its_weights(data):
    runner = make_runner(data, iter=1)
    before = deepcopy(runner.model.state_dict())
    ImprintHook().before_train(runner)
    assert all(torch.equal(value, before[name])
               for name, value in runner.model.state_dict().items())


@pytest.mark.parametrize('head, message', [
    (dict(type='LinearClsHead', num_classes=3, in_channels=CHANNELS),
     'found LinearClsHead. Use BoundedArcFaceClsHead'),
    (dict(ARCFACE, num_subcenters=2), 'num_subcenters=2'),
    (dict(ARCFACE, in_channels=7),
     f'in_channels=7, .* have {CHANNELS} channels')])
def test_what_cannot_start_so_is_told(data, head, message):
    with pytest.raises(ValueError, match=message):
        ImprintHook().before_train(make_runner(data, head))


def start_weights(rank, data):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        runner = make_runner(data)
        ImprintHook().before_train(runner)
    return runner.model.state_dict()


def test_two_ranks_start_like_one(data, tmp_path):
    """Seven photos: one rank gets a copy of the first."""
    first, second, alone = run_ranks(start_weights, tmp_path, data, alone=True)
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value)
