"""The hook: unit prototypes, and what it refuses before the first step."""
from types import SimpleNamespace

import pytest
import torch
from discovery_models import build_discovery, make_batch
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import HOOKS, MODELS
from torch.utils.data import Dataset


class Photos(Dataset):
    """Photos with labels, None for unlabelled ones."""

    def __init__(self, labels, **metainfo):
        self.labels = labels
        self.metainfo = metainfo

    def __len__(self):
        return len(self.labels)

    def get_data_info(self, index):
        info = dict(img_path='')
        if self.labels[index] is not None:
            info['gt_label'] = self.labels[index]
        return info


def start(model, labels, batch=12, **metainfo):
    warnings = []
    runner = SimpleNamespace(
        model=model, world_size=1,
        logger=SimpleNamespace(warning=warnings.append),
        train_dataloader=SimpleNamespace(
            dataset=Photos(labels, **metainfo),
            batch_sampler=SimpleNamespace(batch_size=batch)))
    hook = HOOKS.build(dict(type='NovelDiscoveryHook'))
    hook.before_train(runner)
    return hook, runner, warnings


def test_prototypes_have_length_one_after_each_step(stage_one):
    model = build_discovery(stage_one)
    hook, runner, _ = start(model, [0, 1, 2, *[None] * 9])
    wrapper = build_optim_wrapper(model, dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=1.)))
    layers = [model.head.known,
              *(head.prototypes for head in model.head.novel)]
    for step in range(3):
        losses = model(*make_batch(), mode='loss')
        wrapper.update_params(losses['loss_cluster'] + losses['loss_kd'])
        lengths = torch.cat([x.weight.norm(dim=1) for x in layers])
        assert (lengths - 1).abs().max() > 1e-6
        hook.after_train_iter(runner, step)
        lengths = torch.cat([x.weight.norm(dim=1) for x in layers])
        torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_few_unlabelled_photos_give_a_word(stage_one):
    labels = [0, 1, 2, *[None] * 9]
    assert not start(build_discovery(stage_one), labels)[2]
    warning, = start(build_discovery(stage_one), labels, batch=4)[2]
    assert '3 unlabelled photos on average for 2 clusters' in warning
    assert 'batch_size to 8' in warning


def test_refusals(stage_one):
    model = build_discovery(stage_one)
    for labels, metainfo, error in (
            ([None] * 6, {}, '0 labelled and 6 unlabelled.*NovelClasses'),
            ([0, 1], {}, '2 labelled and 0 unlabelled.*NovelClasses'),
            ([0, 3, None, None], {}, 'label 3, but.*num_known=3.*hide=True'),
            ([0, None], {}, 'num_novel=2 clusters are more than the 1 unl'),
            ([0, None, None], dict(num_known=4), '4 known classes, but'),
            ([0, None, None], dict(classes=('a', 'c', 'b', 'novel-0')),
             "Known class 1 is 'b' in the checkpoint of stage 1, 'c' in")):
        with pytest.raises(ValueError, match=error):
            start(model, labels, **metainfo)
    start(model, [0, None, None], classes=('a', 'b', 'c', 'novel-0'),
          num_known=3)
    plain = MODELS.build(dict(
        type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=2)))
    with pytest.raises(TypeError, match='prototypes of NCDHead'):
        start(plain, [0])
