"""JEPA with the programs a user runs: train, resume, look, hand over."""
import pytest
import torch

CONFIG = """
_base_ = [
    '{repo}/configs/_base_/models/jepa_vit-tiny_96.py',
    '{repo}/configs/_base_/schedules/jepa_bs64_100e.py',
    '{repo}/configs/_base_/default_runtime.py',
]
model = dict(
    backbone=dict(img_size=32, patch_size=4),
    target_generator=dict(
        _delete_=True, type='RegionTargets', min_area=.03, block=1,
        curriculum='sample', blocks=_base_.blocks))
data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root='{data}/train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=32),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='SeededBatchSampler'))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=32),
    dict(type='PackInputs'),
]
train_cfg = dict(max_epochs=3)
param_scheduler = [dict(type='LinearLR', end=3)]
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(save_best=None, interval=1),
    regions=dict(type='RegionVisualizationHook', num_images=2, interval=2))
vis_backends = [dict(type='LocalVisBackend')]
"""

CLASSIFIER = """
_base_ = '{config}'
model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch=dict(embed_dims=96, num_layers=3, num_heads=3,
                  feedforward_channels=384),
        img_size=32, patch_size=4, out_type='featmap'),
    neck=dict(in_channels=96),
    head=dict(cls_head=dict(in_channels=96), contrast=dict(feat_dim=96)))
optim_wrapper = dict(optimizer=dict(lr=0.))
train_cfg = dict(max_epochs=1)
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory, repo_root, tiny_data):
    path = tmp_path_factory.mktemp('config') / 'tiny_jepa.py'
    path.write_text(CONFIG.format(repo=repo_root.as_posix(),
                                  data=tiny_data.as_posix()))
    return path


def test_the_way_to_csdnet(config, tiny_config, run_python, repo_root,
                           tmp_path):
    train = [repo_root / 'tools/train.py', config, '--work-dir']
    whole = run_python(*train, tmp_path / 'whole').stdout
    for name in ('loss_jepa', 'curriculum: 1.0', 'dseq_share', 'regions_mean',
                 'context_share', 'target_deviation'):
        assert name in whole, name
    drawn = list((tmp_path / 'whole').glob('*/vis_data/vis_image/regions_*'))
    assert len(drawn) == 2  # before the first step and after two epochs

    second = tmp_path / 'whole/epoch_2.pth'
    run_python(*train, tmp_path / 'rest', '--resume', second)
    states = [torch.load(tmp_path / name / 'epoch_3.pth', weights_only=True)
              for name in ('whole', 'rest')]
    for name, value in states[0]['state_dict'].items():
        assert torch.equal(value, states[1]['state_dict'][name]), name

    figure = tmp_path / 'regions.png'
    run_python(repo_root / 'tools/visualization/vis_regions.py', config,
               second, '--num', '3', '--out', figure)
    assert figure.stat().st_size

    backbone = tmp_path / 'backbone.pth'
    log = run_python(
        repo_root / 'tools/model_converters/export_backbone.py', second,
        backbone).stdout
    assert 'tensors of the teacher' in log
    classifier = tmp_path / 'classifier.py'
    classifier.write_text(CLASSIFIER.format(
        config=tiny_config.as_posix()))
    run_python(repo_root / 'tools/train.py', classifier, '--weights', backbone,
               '--work-dir', tmp_path / 'csdnet')
    found = torch.load(tmp_path / 'csdnet/epoch_1.pth')['state_dict']
    name = 'backbone.layers.2.attn.qkv.weight'
    trained = torch.load(second)['state_dict'][f'teacher.{name}']
    assert torch.equal(found[name], trained)
