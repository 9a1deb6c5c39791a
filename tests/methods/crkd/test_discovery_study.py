"""The study on features, on clouds that are easy to tell apart."""
import pytest
import torch
from mmengine.config import Config

from csd_mmpretrain.evaluation.features import LabelledFeatures
from csd_mmpretrain.methods.crkd.discovery_study import (
    VARIANTS,
    DiscoveryFeatures,
    judge_head,
    judge_kmeans,
    stage_one_config,
    train_heads,
)
from csd_mmpretrain.methods.crkd.ncd_head import NCDHead

KNOWN, NOVEL, SIZE = 4, 3, 16


@pytest.fixture(scope='module')
def clouds():
    """Features of four known classes and three novel ones, 12 photos each."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.eye(SIZE)[:KNOWN + NOVEL]
    labels = torch.arange(KNOWN + NOVEL).repeat_interleave(12)

    def draw():
        return centers[labels] + 0.05 * torch.randn(
            len(labels), SIZE, generator=generator)

    head = NCDHead(KNOWN, SIZE)
    head.known.weight.data.copy_(centers[:KNOWN])
    features = DiscoveryFeatures(
        torch.stack([draw() for _ in range(4)]),
        LabelledFeatures(draw(), labels), LabelledFeatures(draw(), labels))
    return features, head


@pytest.fixture
def cfg():
    return Config(dict(
        model=dict(
            type='NovelClassDiscovery', backbone=dict(type='LeNet5'),
            head=dict(type='NCDHead', num_known=KNOWN, num_novel=NOVEL,
                      in_channels=SIZE, hidden_channels=32, embed_dims=8)),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2)),
        param_scheduler=[dict(type='LinearLR', start_factor=.1, end=5)],
        train_dataloader=dict(batch_size=42),
        train_cfg=dict(max_epochs=40)))


@pytest.mark.parametrize('changes', VARIANTS.values(), ids=list(VARIANTS))
def test_clouds_are_discovered(clouds, cfg, changes):
    features, head = clouds
    assert judge_kmeans(features, KNOWN, NOVEL)['aware'] == 100
    trained = train_heads(cfg, features, head, changes, 0)
    scores = judge_head(features, trained)
    for name in ('aware', 'aware, mean', 'all', 'seen', 'novel', 'NMI',
                 'seen, plain'):
        assert scores[name] == pytest.approx(100), name


def test_labels_of_novel_photos_change_nothing(clouds, cfg):
    features, head = clouds
    cfg.train_cfg.max_epochs = 2
    labels = features.train.labels.clone()
    novel = (labels >= KNOWN).nonzero()[:, 0]
    labels[novel] = labels[novel[torch.randperm(len(novel))]]
    other = features._replace(train=features.train._replace(labels=labels))
    states = [train_heads(cfg, found, head, {}, 0).state_dict()
              for found in (features, other)]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_stage_one_has_no_clusters(cfg):
    model = stage_one_config(cfg).model
    assert model.type == 'ImageClassifier' and not model.head.num_novel
    assert cfg.model.type == 'NovelClassDiscovery'
    cfg.model.type = 'ImageClassifier'
    with pytest.raises(ValueError, match='expected NovelClassDiscovery'):
        stage_one_config(cfg)
