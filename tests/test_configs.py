"""Tests of the configs: they parse, agree with the data, and build models."""
import os
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import LinearLR, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.apis.model import ModelHub, list_models
from mmpretrain.registry import DATASETS, HOOKS, MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.checkpoints.pretrained import use_weights

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / 'configs' / 'csdnet'
SHARED = Path(os.environ.get('CSD_SHARED', REPO.parent / 'shared'))
PEERS = REPO / 'configs' / 'peers'
OWN = sorted(path.stem for path in CONFIGS.glob('*.py'))
# Those that CSDNet's configs are compared with.
BASELINES = ['cotton80_baseline', 'cotton80_cle-vit', 'grocery81_baseline']
NAMES = OWN + BASELINES
CSDNET_KEYS = {'model.neck', 'model.head', 'default_hooks.ssdp'}

# Training images of each config's dataset, and the list they stand in.
TRAIN_SIZES = dict(
    cotton80=(240, 'COTTON'),
    soylocal=(600, 'soybean200'),
    soyglobal=(5814, 'soybean2000'),
    soygene=(12763, 'soybean_gene'),
    soyageing_r1=(990, 'R1'),
    soyageing_r3=(990, 'R3'),
    soyageing_r4=(990, 'R4'),
    soyageing_r5=(990, 'R5'),
    soyageing_r6=(990, 'R6'),
    cub=(5994, None),
    stanford_cars=(8144, None),
    fgvc_aircraft=(6667, None),
    nabirds=(23929, None),
    stanford_dogs=(12000, None),
    grocery81=(648, None))

# The backbones made shallow but not narrow, so that channels still tell.
SHALLOW = {
    'SwinTransformer':
    dict(
        arch=dict(
            embed_dims=128, depths=[1, 1, 1, 1], num_heads=[4, 8, 16, 32])),
    'VisionTransformer':
    dict(
        arch=dict(
            embed_dims=768,
            num_layers=1,
            num_heads=12,
            feedforward_channels=768)),
    'DeiT3':
    dict(
        arch=dict(
            embed_dims=768,
            num_layers=1,
            num_heads=12,
            feedforward_channels=768)),
    'ConvNeXt':
    dict(arch=dict(depths=[1, 1, 1, 1], channels=[128, 256, 512, 1024])),
    'TIMMBackbone':
    dict(pretrained=False, depth=1),
}


def path_of(name):
    return (PEERS if name in BASELINES else CONFIGS) / f'{name}.py'


@lru_cache(maxsize=None)
def load(name):
    with patch.dict(os.environ):
        os.environ.pop('CSD_DATA_ROOT', None)
        return Config.fromfile(path_of(name))


def flatten(config, prefix='', depth=2):
    """Map 'a.b' to its value, ``depth`` levels down."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, dict) and value and depth > 1:
            flat.update(flatten(value, f'{prefix}{key}.', depth - 1))
        else:
            flat[prefix + key] = value
    return flat


def images_of(config, loader):
    """The settings of a loader's dataset, inside of a wrapper."""
    dataset = config[loader].dataset
    return dataset.get('dataset', dataset)


def cls_head(config):
    return config.model.head.get('cls_head', config.model.head)


def shallow_model(name):
    """The config's classifier, without weights and at 224 px."""
    config = deepcopy(load(name))
    init_default_scope('mmpretrain')
    backbone = config.model.backbone
    backbone.pop('init_cfg', None)
    if 'img_size' in backbone:
        backbone.img_size = 224
    if not isinstance(backbone.get('arch'), dict):
        tiny = backbone.get('arch') == 'tiny'
        backbone.update(deepcopy(SHALLOW.get(backbone.type, {})))
        if tiny:
            backbone.arch.update(embed_dims=96, num_heads=[3, 6, 12, 24])
    config.model.data_preprocessor = dict(
        type='ClsDataPreprocessor', **config.data_preprocessor)
    return MODELS.build(config.model)


@pytest.mark.parametrize('name', NAMES)
def test_config_obeys_the_data_root(name, monkeypatch, tmp_path):
    root = tmp_path / 'my data'
    monkeypatch.setenv('CSD_DATA_ROOT', str(root))
    config = Config.fromfile(path_of(name))
    for loader in ('train', 'val', 'test'):
        dataset = images_of(config, f'{loader}_dataloader')
        assert dataset.data_root.startswith(f'{root}/')
        assert dataset.get('classes', str(root)).startswith(str(root))

    dataset = images_of(load(name), 'train_dataloader')
    assert dataset.data_root.startswith('data/')


@pytest.mark.parametrize('name', NAMES)
def test_dumped_config_is_the_same(name, tmp_path):
    load(name).dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py')
    assert dumped.to_dict() == load(name).to_dict()


def test_basenames_are_unique():
    names = [path.name for path in (REPO / 'configs').rglob('*.py')]
    assert sorted(names) == sorted(set(names))


def test_no_config_leans_on_installed_configs():
    for path in (REPO / 'configs').rglob('*.py'):
        assert '::' not in path.read_text(), path


def test_metafile_lists_the_configs():
    metafile = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())
    models = metafile['Models']
    assert sorted(Path(model['Config']).stem for model in models) == OWN
    for model in models:
        path = REPO / model['Config']
        assert path.exists() and path.parent == CONFIGS
        assert model['Name'] == f'csdnet_{path.stem}'
        assert not {'Weights', 'Results'} & set(model)
    readme = (CONFIGS / 'README.md').read_text()
    for name in OWN:
        assert f'({name}.py)' in readme


def test_model_index_loads(monkeypatch):
    list_models()  # mmpretrain's own go into the hub once in a process
    monkeypatch.setattr(ModelHub, '_models_dict', {})
    ModelHub.register_model_index(
        REPO / 'model-index.yml', config_prefix=REPO)
    metafiles = [
        yaml.safe_load(path.read_text())
        for path in (REPO / 'configs').glob('*/metafile.yml')
    ]
    assert len(ModelHub._models_dict) == sum(
        len(metafile['Models']) for metafile in metafiles) > len(NAMES)
    assert ModelHub.get('csdnet_cotton80').config.model.head.type == 'CSDHead'


@pytest.mark.parametrize('name', TRAIN_SIZES)
def test_queue_holds_one_epoch(name):
    size, folder = TRAIN_SIZES[name]
    config = load(name)
    assert config.model.head.contrast.queue_len == size
    listed = SHARED / 'annotations' / str(folder) / 'anno' / 'train.txt'
    if listed.exists():
        assert len(listed.read_text().splitlines()) == size
        data_root = config.train_dataloader.dataset.data_root
        assert data_root == f'data/{folder}'


@pytest.mark.parametrize('name', NAMES)
def test_number_of_classes_agrees(name):
    config = load(name)
    num_classes = cls_head(config).num_classes
    assert config.data_preprocessor.num_classes == num_classes
    for loader in ('train', 'val', 'test'):
        dataset = images_of(config, f'{loader}_dataloader')
        named = DATASETS.get(dataset.type).METAINFO.get('classes')
        count = len(named) if named else dataset.get('num_classes')
        assert count in (num_classes, None)


@pytest.mark.parametrize('name', NAMES)
def test_train_and_test_images_differ(name):
    config = load(name)

    def source(loader):
        dataset = images_of(config, loader)
        return dataset.get('split'), dataset.get('ann_file')

    assert source('train_dataloader') != source('test_dataloader')
    if 'held_out' in config:  # of the training images
        parts = [set(images_of(config, loader).indices)
                 for loader in ('train_dataloader', 'val_dataloader')]
        assert source('val_dataloader') == source('train_dataloader')
        assert not parts[0] & parts[1] and len(parts[1]) == 81
        assert set.union(*parts) == set(range(648))
    else:
        assert source('val_dataloader') == source('test_dataloader')


@pytest.mark.parametrize('name', ['cotton80', 'grocery81'])
def test_csdnet_adds_only_its_parts(name):
    ours, baseline = load(name), load(f'{name}_baseline')
    flat, flat_baseline = flatten(ours), flatten(baseline)
    changed = {
        key
        for key in flat.keys() | flat_baseline.keys()
        if flat.get(key) != flat_baseline.get(key)
    }
    assert {'.'.join(key.split('.')[:2]) for key in changed} == CSDNET_KEYS
    assert ours.model.head.cls_head == baseline.model.head


@pytest.mark.parametrize('name, base, changed', [
    ('cotton80_checkpointing', 'cotton80',
     {'model.backbone', 'model_wrapper_cfg'}),
    ('cotton80_fsdp', 'cotton80', {'runner_type', 'strategy'}),
    ('cotton80_resnet50_syncbn', 'cotton80_resnet50', {'sync_bn'}),
    ('cotton80_fast', 'cotton80', {'optim_wrapper'}),
    ('grocery81_fast', 'grocery81', {'optim_wrapper'}),
])
def test_config_for_machines_trains_the_same(name, base, changed):
    flat, flat_base = flatten(load(name)), flatten(load(base))
    assert {
        '.'.join(key.split('.')[:2 if key.startswith('model.') else 1])
        for key in flat.keys() | flat_base.keys()
        if flat.get(key) != flat_base.get(key)
    } == changed


def test_distributed_checkpointing_has_its_settings():
    config = load('cotton80_checkpointing')
    wrapper = config.model_wrapper_cfg
    assert wrapper.static_graph and not wrapper.broadcast_buffers
    assert any(module.with_cp is True
               for module in shallow_model('cotton80_checkpointing').modules()
               if hasattr(module, 'with_cp'))


def test_ablation_adds_one_part_at_a_time():
    full = load('cotton80')
    for name, missing in (('ssdp-ddl', ['distill']),
                          ('ssdp', ['contrast', 'distill'])):
        expected = deepcopy(full)
        for part in missing:
            expected.model.head[part] = None
        assert load(f'cotton80_{name}').to_dict() == expected.to_dict()


def test_one_view_has_the_queue_alone():
    ours, base = load('grocery81_one-view'), load('grocery81_arcface-head')
    flat, flat_base = flatten(ours), flatten(base)
    assert {key for key in flat.keys() | flat_base.keys()
            if flat.get(key) != flat_base.get(key)} == {
        'model.neck', 'model.head', 'default_hooks.ssdp',
        'default_hooks.imprint', 'train_cfg.max_epochs', 'max_epochs',
        'param_scheduler'}
    assert ours.param_scheduler[-1].end == ours.train_cfg.max_epochs == (
        2 * base.train_cfg.max_epochs)
    samples = [DataSample(metainfo=dict(sample_idx=i)).set_gt_label(label)
               for i, label in enumerate((0, 0, 7))]
    for name, loss in (('grocery81_one-view', 'loss_qc'),
                       ('grocery81_one-view_prototypes', 'loss_prototypes')):
        losses = shallow_model(name).head.loss((torch.rand(3, 1280), ),
                                               samples)
        assert {name for name in losses if 'loss' in name} == {
            'loss_cls', loss}


@pytest.mark.parametrize('name', NAMES)
def test_learning_rate_follows_the_batch(name):
    config = load(name)
    batch = config.train_dataloader.batch_size
    assert config.auto_scale_lr.base_batch_size == batch
    if batch == 12:
        backbone = config.model.backbone.type
        base = 4e-3 if backbone in ('ResNet', 'MobileNetV2') else 1e-3
        base = 2e-3 if 'soygene' in name else base
        base = 5e-3 if 'layer-decay' in name else base  # of the head
        lr = config.optim_wrapper.optimizer.lr
        assert lr == pytest.approx(base * batch / 512)


def test_head_learns_five_times_as_fast():
    model = shallow_model('cotton80')
    wrapper = build_optim_wrapper(model, load('cotton80').optim_wrapper)
    names = {id(param): name for name, param in model.named_parameters()}
    lr = load('cotton80').optim_wrapper.optimizer.lr
    for group in wrapper.optimizer.param_groups:
        name = names[id(group['params'][0])]
        factor = 5 if name.startswith('head.') else 1
        assert group['lr'] == pytest.approx(factor * lr), name
        if 'relative_position_bias' in name or group['params'][0].dim() == 1:
            assert group['weight_decay'] == 0, name


def test_layers_learn_at_their_own_rates():
    """Like a count by hand: the last block 0.9 of the head, and so on."""
    model = shallow_model('cotton80_layer-decay')
    settings = load('cotton80_layer-decay').optim_wrapper
    wrapper = build_optim_wrapper(model, settings)
    lr = load('cotton80').optim_wrapper.optimizer.lr
    names = {id(param): name for name, param in model.named_parameters()}
    depths = {'backbone.patch_embed': 5, 'backbone.stages.0.blocks': 4,
              'backbone.stages.3.blocks': 1, 'head.': 0}
    seen = set()
    for group in wrapper.optimizer.param_groups:
        name = names[id(group['params'][0])]
        for start, depth in depths.items():
            if name.startswith(start):
                seen.add(start)
                assert group['lr'] == pytest.approx(5 * lr * 0.9**depth), name
        if 'relative_position_bias' in name or group['params'][0].dim() == 1:
            assert group['weight_decay'] == 0, name
    assert seen == {*depths}


def test_rare_classes_of_soygene_are_repeated(tmp_path):
    """Its real list, where there is one: 36 classes have 8 images or less."""
    listed = SHARED / 'annotations/soybean_gene/anno/train.txt'
    if not listed.exists():
        pytest.skip(f'{listed} is not there')
    init_default_scope('mmpretrain')
    labels = [int(line.rsplit(' ', 1)[1]) - 1
              for line in listed.read_text().splitlines()]
    settings = deepcopy(
        load('soygene_class-balanced').train_dataloader.dataset)
    (tmp_path / 'images').mkdir()
    (tmp_path / 'anno').symlink_to(listed.parent)
    settings.dataset.update(data_root=str(tmp_path), pipeline=[])
    dataset = DATASETS.build(settings)
    counts = np.bincount(labels)
    seen = np.bincount([labels[i] for i in dataset.repeat_indices])
    assert (counts <= 8).sum() == 36 and len(counts) == 1110
    assert (seen == np.where(counts <= 8, 2 * counts, counts)).all()
    # What docs/imbalance.md says of the margins.
    config = Config.fromfile(PEERS / 'soygene_adaptive-margins.py')
    head = MODELS.build(config.model.head)
    HOOKS.build(config.custom_hooks[0]).before_train(SimpleNamespace(
        model=SimpleNamespace(head=head),
        train_dataloader=SimpleNamespace(dataset=dataset.dataset)))
    for count, margin in ((3, 0.3), (4, 0.258), (8, 0.169), (12, 0.123),
                          (15, 0.1)):
        np.testing.assert_allclose(head.margins[counts == count], margin,
                                   atol=5e-4)


def test_scales_of_layers_do_not_decay():
    model = torch.nn.ModuleDict(dict(
        backbone=MODELS.build(dict(type='ConvNeXt', arch='atto'))))
    settings = load('cotton80_convnext-b').optim_wrapper
    groups = build_optim_wrapper(model, settings).optimizer.param_groups
    flat = [g for g in groups if g['params'][0].dim() == 1]
    assert any(p is g['params'][0] for g in flat
               for name, p in model.named_parameters() if 'gamma' in name)
    assert not any(group['weight_decay'] for group in flat)


@pytest.mark.parametrize('name', ['cotton80', 'cub'])
def test_schedule_warms_up_and_decays(name):
    config = load(name)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedulers = [
        LinearLR.build_iter_from_epoch(
            optimizer, epoch_length=3, **{
                key: value
                for key, value in scheduler.items()
                if key not in ('type', 'convert_to_iter_based')
            }) for scheduler in config.param_scheduler
    ]
    rates = []
    for _ in range(config.train_cfg.max_epochs * 3):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert rates[0] == pytest.approx(0.001)
    assert rates[20 * 3] == pytest.approx(max(rates)) == pytest.approx(1)
    assert rates[-1] == pytest.approx(0.01, abs=0.02)
    rise, fall = np.diff(rates[:60]), np.diff(rates[61:])
    assert np.ptp(rise) < 1e-6 < rise.min()
    assert np.ptp(fall) < 1e-6 and fall.max() < -1e-6


@pytest.mark.parametrize('name', ['cotton80', 'grocery81', 'demo'])
def test_pipelines_give_images_of_one_size(name, tmp_path):
    config = load(name)
    init_default_scope('mmpretrain')
    image = np.random.RandomState(0).randint(
        0, 256, (300, 520, 3), dtype=np.uint8)
    sizes = set()
    for loader in ('train', 'test'):
        pipeline = config[f'{loader}_dataloader'].dataset.pipeline
        packed = Compose(pipeline[1:])(
            dict(img=image, img_shape=image.shape[:2], gt_label=0))
        assert packed['inputs'].dtype == torch.uint8
        sizes.add(tuple(packed['inputs'].shape))
    assert len(sizes) == 1


@pytest.mark.parametrize('name', [
    name for name in NAMES
    if name.startswith(('cotton80', 'grocery81', 'demo'))
])
def test_model_builds_and_predicts(name):
    model = shallow_model(name).eval()
    with torch.no_grad():
        scores = model(torch.randn(2, 3, 224, 224), mode='tensor')
    assert scores.shape == (2, cls_head(load(name)).num_classes)


@pytest.mark.skipif(
    not (SHARED / 'data' / 'grocery81').exists(), reason='needs Grocery81')
def test_grocery81_has_its_images(monkeypatch):
    monkeypatch.setenv('CSD_DATA_ROOT', str(SHARED / 'data'))
    config = Config.fromfile(CONFIGS / 'grocery81.py')
    init_default_scope('mmpretrain')
    for loader, size in (('train', 648), ('test', 810)):
        dataset = DATASETS.build(config[f'{loader}_dataloader'].dataset)
        assert len(dataset) == size
        assert len(dataset.CLASSES) == 81
        assert dataset.CLASSES[0] == 'Golden-Delicious'
        assert set(dataset.get_gt_labels()) == set(range(81))


@pytest.mark.parametrize('name', ['cotton80', 'grocery81'])
@pytest.mark.parametrize('model_name, part', [
    ('efficientnet_b0', 'timm_model.conv_head.'),
    ('convnext_atto', 'timm_model.head.norm.')])
def test_only_the_new_head_takes_larger_steps(name, model_name, part):
    """timm's models have layers with 'head.' in their names."""
    settings = dict(load(name).optim_wrapper, clip_grad=None)
    model = torch.nn.ModuleDict(dict(
        backbone=MODELS.build(
            dict(type='TIMMBackbone', model_name=model_name)),
        head=torch.nn.Linear(2, 2)))
    names = {id(p): n for n, p in model.named_parameters()}
    groups = {
        names[id(param)]: group
        for group in build_optim_wrapper(
            model, settings).optimizer.param_groups
        for param in group['params']
    }
    rate = settings['optimizer']['lr']
    assert groups['head.weight']['lr'] == 5 * rate
    assert any(part in name for name in groups)
    for key, group in groups.items():
        if key.startswith('backbone'):
            assert group['lr'] == rate, key
            if 'norm.' in key:
                assert group['weight_decay'] == 0, key


@pytest.mark.parametrize('form', ['timm', 'checkpoint'])
def test_timm_backbone_takes_weights_from_a_file(form, tmp_path):
    config = deepcopy(load('cotton80_timm-dinov2'))
    backbone = config.model.backbone
    backbone.update(model_name='vit_small_patch14_reg4_dinov2', depth=1)

    def build(**kwargs):
        model = MODELS.build(dict(backbone, **kwargs))
        model.init_weights()
        return model

    path = str(tmp_path / 'weights.pth')
    if form == 'timm':
        saved = build(pretrained=False, img_size=518)
        tensors = saved.timm_model.state_dict()
    else:
        saved = build(pretrained=False)
        tensors = saved.state_dict(prefix='backbone.')
    torch.save(tensors, path)

    use_weights(config, path)
    model = build()
    assert torch.equal(model.timm_model.patch_embed.proj.weight,
                       saved.timm_model.patch_embed.proj.weight)
    assert model.timm_model.pos_embed.shape == (1, 32 * 32, 384)
