"""From photos without labels to CSDNet, with the programs a user runs."""
import pytest
import torch

CONFIG = """
_base_ = ['{repo}/configs/_base_/default_runtime.py']

data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
crop = dict(type='RandomResizedCrop', scale=32)
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root='{data}/train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='MultiView',
                num_views=[2, 1],
                transforms=[[crop], [dict(crop, scale=16)]]),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='SeededBatchSampler'))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=64),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
query = dict(
    batch_size=6,
    num_workers=0,
    dataset=dict(
        type='CustomDataset', data_root='{data}/test',
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
gallery = dict(
    query, dataset=dict(query['dataset'], data_root='{data}/train'))

neck = dict(
    type='CMDNeck', in_channels=1280, num_prototypes=32, hidden_channels=16)
model = dict(
    type='CMD',
    backbone=dict(type='MobileNetV2', widen_factor=0.25),
    neck=neck,
    region_neck=neck,
    aggregator=dict(type='GatedAttentionBag', in_channels=1280),
    head=dict(type='CMDHead', num_prototypes=32))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(by_epoch=True, max_epochs=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(save_best=None))
custom_hooks = [
    dict(type='SelfDistillationHook', temp_warmup_epochs=1),
    dict(type='CollapseCheckHook', interval=1, window=1, min_deviation=0.999),
    dict(
        type='KNNHook',
        gallery_dataloader=gallery,
        query_dataloader=query,
        metrics=[
            dict(type='KNNAccuracy', ks=(1, 5)),
            dict(type='RetrievalMetric', protocol='train-gallery')
        ]),
]
"""


@pytest.fixture(scope='module')
def cmd_config(tmp_path_factory, repo_root, tiny_data):
    path = tmp_path_factory.mktemp('config') / 'tiny_cmd.py'
    path.write_text(CONFIG.format(repo=repo_root.as_posix(),
                                  data=tiny_data.as_posix()))
    return path


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory, run_python, repo_root, cmd_config):
    """A pre-training of two epochs, stopped after one and gone on with."""
    work_dir = tmp_path_factory.mktemp('pretrained')
    command = [repo_root / 'tools/train.py', cmd_config, '--work-dir',
               work_dir]
    logs = [
        run_python(*command, '--cfg-options',
                   'train_cfg.max_epochs=1').stdout,
        run_python(*command, '--resume').stdout
    ]
    return work_dir / 'epoch_2.pth', logs


def test_pretraining_logs_what_it_learns(pretrained):
    checkpoint, (first, second) = pretrained
    for name in ('loss_image', 'loss_region', 'loss_inter', 'inter_teacher',
                 'teacher_entropy', 'teacher_deviation'):
        assert f'{name}: ' in first, name
    assert 'resumed epoch: 1, iter: 4' in second
    assert 'Features after 0: ' in first and ' after 0: ' not in second
    for log in (first, second):
        assert 'knn/top1_k5: ' in log
        assert 'retrieval/train-gallery/rank1: ' in log
        assert log.count('it has collapsed') == 1
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    assert any(name.startswith('teacher.aggregator') for name in state)


def test_backbone_starts_csdnet(pretrained, run_python, repo_root,
                                tiny_config, tmp_path):
    out = tmp_path / 'backbone.pth'
    log = run_python(
        repo_root / 'tools/model_converters/export_backbone.py',
        pretrained[0], out).stdout
    assert 'tensors of the teacher' in log
    run_python(repo_root / 'tools/train.py', tiny_config, '--weights', out,
               '--work-dir', tmp_path, '--cfg-options',
               'train_cfg.max_epochs=1', 'optim_wrapper.optimizer.lr=0')
    found = torch.load(tmp_path / 'epoch_1.pth')['state_dict']
    expected = torch.load(pretrained[0])['state_dict']
    name = 'backbone.conv2.conv.weight'
    assert torch.equal(found[name], expected[f'teacher.{name}'])
    assert not torch.equal(found[name], expected[name])


def test_features_and_pictures(pretrained, run_python, repo_root, cmd_config,
                               tiny_config, tmp_path):
    table = tmp_path / 'features.md'
    run_python(repo_root / 'tools/evaluate_features.py', cmd_config,
               pretrained[0], '--data-config', tiny_config, '--ks', '5',
               '--fractions', '1', '--out', table)
    text = table.read_text()
    assert 'leave-one-out' in text and 'train-gallery' in text
    bags = tmp_path / 'bags.png'
    run_python(repo_root / 'tools/visualization/vis_bag.py', cmd_config,
               pretrained[0], '--num', '3', '--out', bags)
    assert bags.stat().st_size
