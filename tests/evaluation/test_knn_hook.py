import json

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from noise_images import write_noise_images

from csd_mmpretrain.evaluation.knn_hook import KNNHook

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=32),
    dict(type='PackInputs')
]
METRICS = [
    dict(type='KNNAccuracy', ks=(1, 3)),
    dict(type='RetrievalMetric', protocol='train-gallery'),
    dict(type='RetrievalMetric', protocol='leave-one-out'),
]
CSDNET = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3),
    backbone=dict(type='MobileNetV2', widen_factor=0.25, frozen_stages=1),
    neck=dict(type='SSDPNeck', in_channels=1280),
    head=dict(
        type='CSDHead',
        cls_head=dict(type='LinearClsHead', num_classes=3, in_channels=1280),
        contrast=dict(type='DDLQueueLoss', feat_dim=1280, queue_len=7),
        distill=dict(type='SSDTLoss')))
SIMSIAM = dict(
    type='SimSiam',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor', mean=[127.] * 3, std=[60.] * 3),
    backbone=dict(
        type='ResNet', depth=18, stem_channels=8, base_channels=8),
    neck=dict(
        type='NonLinearNeck',
        in_channels=64,
        hid_channels=8,
        out_channels=8),
    head=dict(
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(
            type='NonLinearNeck',
            in_channels=8,
            hid_channels=8,
            out_channels=8,
            with_avg_pool=False)))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Three images of each of three classes."""
    return write_noise_images(tmp_path_factory.mktemp('data'), 3)


def loader(data, pipeline=PIPELINE, workers=0, **collate):
    return dict(
        batch_size=5,
        num_workers=workers,
        dataset=dict(
            type='CustomDataset', data_root=str(data), pipeline=pipeline),
        sampler=dict(type='DefaultSampler', shuffle=False),
        **collate)


def knn_hook(data, **options):
    defaults = dict(
        gallery_dataloader=loader(data, workers=1),
        query_dataloader=loader(
            data, collate_fn=dict(type='default_collate')),
        metrics=METRICS)
    return dict(type='KNNHook', **{**defaults, **options})


def train(data, work_dir, model=CSDNET, hook=None, ema=None, **train_cfg):
    pipeline = [*PIPELINE[:2], dict(type='RandomFlip', prob=0.5), PIPELINE[2]]
    hooks = dict(
        logger=dict(type='LoggerHook', interval=1),
        visualization=dict(type='VisualizationHook', enable=False))
    if model is CSDNET:
        hooks['ssdp'] = dict(
            type='SSDPHook', view=dict(type='EraseShuffleView'))
    else:
        pipeline = [
            PIPELINE[0],
            dict(
                type='MultiView', num_views=2, transforms=[pipeline[1:3]]),
            PIPELINE[2]
        ]
    if hook is not None:
        hooks['knn'] = hook
    if ema is not None:
        hooks['ema'] = ema
    train_loader = loader(
        data, pipeline, collate_fn=dict(type='default_collate'))
    train_loader['sampler']['shuffle'] = True
    runner = Runner.from_cfg(
        Config(
            dict(
                work_dir=str(work_dir),
                experiment_name=f'test_{work_dir.name}',
                default_scope='mmpretrain',
                randomness=dict(seed=3),
                log_level='ERROR',
                model=model,
                train_dataloader=train_loader,
                train_cfg=train_cfg or dict(by_epoch=True, max_epochs=3),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                default_hooks=hooks,
                visualizer=dict(
                    type='UniversalVisualizer',
                    vis_backends=[dict(type='LocalVisBackend')]))))
    runner.train()
    return runner


def logged(work_dir):
    path, = work_dir.rglob('scalars.json')
    lines = map(json.loads, path.read_text().splitlines())
    return [line for line in lines if 'knn/top1_k1' in line]


@pytest.mark.parametrize('model', [CSDNET, SIMSIAM], ids=['csdnet', 'simsiam'])
def test_the_run_ends_as_one_without_the_hook(data, tmp_path, model):
    with_hook = train(data, tmp_path / 'hook', model,
                      knn_hook(data, interval=2))
    plain = train(data, tmp_path / 'plain', model)
    expected = plain.model.state_dict()
    for name, value in with_hook.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    lines = logged(tmp_path / 'hook')
    assert [line['step'] for line in lines] == [0, 2, 3]
    # Gallery and query images are the same.
    assert lines[0]['knn/top1_k1'] == 100
    assert lines[0]['retrieval/train-gallery/rank1'] == 100
    assert lines[0]['retrieval/leave-one-out/queries'] == 9
    hub = with_hook.message_hub
    assert hub.get_scalar('knn/top1_k1').current() == 100


def test_iterations_and_stage(data, tmp_path):
    train(data, tmp_path, CSDNET,
          knn_hook(data, interval=2, stage='backbone'), by_epoch=False,
          max_iters=3)
    assert [line['step'] for line in logged(tmp_path)] == [0, 2, 3]


def test_the_first_numbers_are_of_the_start(data, tmp_path):
    train(data, tmp_path / 'three', SIMSIAM, knn_hook(data))
    train(data, tmp_path / 'still', dict(SIMSIAM, backbone=dict(
        SIMSIAM['backbone'], frozen_stages=4)), knn_hook(data))
    key = 'retrieval/leave-one-out/mAP'
    three, still = ([line[key] for line in logged(tmp_path / name)]
                    for name in ('three', 'still'))
    assert still == 4 * three[:1]
    assert len(set(three)) > 1


def test_averages_are_judged(data, tmp_path, monkeypatch):
    """As a validation does; the start has none yet."""
    seen = []

    def watch(model, *_):
        seen.append([p.clone() for p in model.parameters()])
        return {}

    monkeypatch.setattr(
        'csd_mmpretrain.evaluation.knn_hook.evaluate_features', watch)
    for ema in (None, dict(type='EMAHook', momentum=0.1)):
        runner = train(data, tmp_path / str(bool(ema)), CSDNET, knn_hook(data),
                       ema, by_epoch=False, max_iters=2)
    plain_start, _, plain_end, start, _, end = seen
    averages = next(
        hook.ema_model.module.parameters() for hook in runner.hooks
        if isinstance(hook, EMAHook))
    assert all(map(torch.equal, start, plain_start))
    assert all(map(torch.equal, end, averages))
    assert not all(map(torch.equal, end, plain_end))
    assert all(map(torch.equal, runner.model.parameters(), plain_end))


def test_queries_alone(data, tmp_path):
    key = 'retrieval/leave-one-out/rank1'
    train(data, tmp_path / 'both', CSDNET, knn_hook(data))
    train(data, tmp_path / 'alone', CSDNET,
          knn_hook(data, gallery_dataloader=None, metrics=METRICS[2]))
    both, alone = ([
        line[key] for line in map(json.loads, next(
            (tmp_path / name).rglob('scalars.json')).read_text().splitlines())
        if key in line
    ] for name in ('both', 'alone'))
    assert both == alone and len(alone) == 4


def test_errors(data, tmp_path):
    with pytest.raises(ValueError, match='interval=0'):
        KNNHook(dict(), METRICS, interval=0)
    with pytest.raises(ValueError, match="no stage='head'"):
        KNNHook(dict(), METRICS, stage='head')
    with pytest.raises(TypeError, match='Accuracy is not a metric of feat'):
        KNNHook(dict(), dict(type='Accuracy'))
    with pytest.raises(ValueError, match='train-gallery: 0 training images'):
        train(data, tmp_path, CSDNET,
              knn_hook(data, gallery_dataloader=None, metrics=METRICS[1]))
    with pytest.raises(ValueError, match=r'ks=\(20,\): the gallery has 9'):
        train(data, tmp_path, CSDNET,
              knn_hook(data, metrics=dict(type='KNNAccuracy', ks=(20, ))))
    assert not list(tmp_path.rglob('*.pth'))
