"""Tests of the peers: one frame, one change each, and their definitions."""
import os
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from mmpretrain.structures import DataSample
from PIL import Image

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / 'configs'
CLASSES = 81
BATCH = 16

HEAD, NECK, VIEW = 'model.head', 'model.neck', 'default_hooks.ssdp.view'
# What each peer is measured against, and the settings that it changes.
CHANGES = {
    'cross-entropy': ('peers/grocery81_baseline', {f'{HEAD}.loss'}),
    '2x-epochs': ('peers/grocery81_baseline',
                  {'max_epochs', 'param_scheduler', 'train_cfg.max_epochs'}),
    'mixup': ('peers/grocery81_baseline', {'model.train_cfg'}),
    'cutmix': ('peers/grocery81_baseline', {'model.train_cfg'}),
    'random-erasing':
    ('peers/grocery81_baseline',
     {'train_pipeline', 'train_dataloader.dataset.pipeline'}),
    'arcface': ('peers/grocery81_baseline', {HEAD}),
    'arcface-imprint': ('peers/grocery81_arcface', {'default_hooks.imprint'}),
    'arcface-scale-10': ('peers/grocery81_arcface-imprint', {f'{HEAD}.scale'}),
    'two-views': ('csdnet/grocery81',
                  {f'{NECK}.gating', f'{HEAD}.contrast', f'{HEAD}.distill',
                   VIEW}),
    'two-views-distilled': ('csdnet/grocery81', {VIEW}),
    'supcon': ('peers/grocery81_two-views', {f'{HEAD}.contrast'}),
    'cle-vit': ('peers/grocery81_two-views',
                {f'{HEAD}.aug_loss_weight', f'{HEAD}.contrast', VIEW}),
}
# Those that other tests compare, and how mmpretrain's hub knows them.
OTHERS = {
    'grocery81_baseline': 'csdnet_grocery81_baseline',
    'cotton80_baseline': 'csdnet_cotton80_baseline',
    'cotton80_cle-vit': 'csdnet_cotton80_cle-vit',
    'dino_swin-tiny_cotton80': 'dino_swin-tiny_cotton80',
    'dino_mobilenet-v2_grocery81': 'dino_mobilenet-v2_grocery81',
    'dino_vit-tiny_grocery81': 'dino_vit-tiny_grocery81',
    'mocov2_mobilenet-v2_grocery81': 'mocov2_mobilenet-v2_grocery81',
    'simsiam_mobilenet-v2_grocery81': 'simsiam_mobilenet-v2_grocery81',
    'soygene_adaptive-margins': 'soygene_adaptive-margins',
}
TWO_VIEWS = {
    'two-views': set(),
    'two-views-distilled': {'loss_qc', 'ddl_positives', 'loss_ssdt'},
    'supcon': {'loss_metric'},
    'cle-vit': {'loss_pair'},
}


@lru_cache(maxsize=None)
def load(name):
    with patch.dict(os.environ):
        os.environ.pop('CSD_DATA_ROOT', None)
        return Config.fromfile(CONFIGS / f'{name}.py')


def peer(name):
    return load(f'peers/grocery81_{name}')


def changed(ours, base, prefix=''):
    """Name the settings that differ, by dotted key."""
    if not (isinstance(ours, dict) and isinstance(base, dict)
            and ours.get('type') == base.get('type')):
        return {prefix} if ours != base else set()
    keys = ours.keys() | base.keys()
    return set().union(*(changed(
        ours.get(key), base.get(key), f'{prefix}.{key}' if prefix else key)
                         for key in keys))


def classifier(name):
    """The config's classifier, without weights."""
    config = deepcopy(peer(name))
    config.model.backbone.init_cfg = None
    config.model.data_preprocessor = dict(
        type='ClsDataPreprocessor', **config.data_preprocessor)
    return MODELS.build(config.model)


def test_every_config_is_tested():
    names = {path.stem for path in (CONFIGS / 'peers').glob('*.py')}
    assert names == {f'grocery81_{name}' for name in CHANGES} | set(OTHERS)


@pytest.mark.parametrize('name', CHANGES)
def test_peer_changes_only_what_it_is(name):
    base, keys = CHANGES[name]
    assert changed(peer(name).to_dict(), load(base).to_dict()) == keys


def test_metafile_and_readme_list_the_configs():
    folder = CONFIGS / 'peers'
    metafile = yaml.safe_load((folder / 'metafile.yml').read_text())
    models = metafile['Models']
    names = sorted([*(f'grocery81_{name}' for name in CHANGES), *OTHERS])
    assert sorted(Path(model['Config']).stem for model in models) == names
    readme = (folder / 'README.md').read_text()
    for model in models:
        assert (REPO / model['Config']).parent == folder
        name = Path(model['Config']).stem
        assert model['Name'] == OTHERS.get(name, f'peers_{name}')
        assert not {'Weights', 'Results'} & set(model)
    for name in names:
        assert f'({name}.py)' in readme
    index = yaml.safe_load((REPO / 'model-index.yml').read_text())
    assert 'configs/peers/metafile.yml' in index['Import']


def test_twice_the_epochs_end_the_schedule_too():
    config, base = peer('2x-epochs'), load('peers/grocery81_baseline')
    epochs = config.train_cfg.max_epochs
    assert epochs == 2 * base.train_cfg.max_epochs
    assert config.param_scheduler[-1].end == epochs
    assert config.param_scheduler[0] == base.param_scheduler[0]
    assert config.param_scheduler[-1] == dict(
        base.param_scheduler[-1], end=epochs)


@pytest.fixture(scope='module')
def drawn_root(tmp_path_factory):
    """Ten drawn photos that stand for Grocery81, listed for two steps."""
    root = tmp_path_factory.mktemp('data')
    folder = root / 'grocery81'
    (folder / 'images').mkdir(parents=True)
    (folder / 'meta').mkdir()
    random = np.random.RandomState(0)
    lines = []
    for label in range(10):
        pixels = random.randint(0, 60, (48, 40, 3), dtype=np.uint8)
        pixels[4 * label:4 * label + 8] += 150
        Image.fromarray(pixels).save(folder / f'images/{label}.png')
        lines.append(f'{label}.png {8 * label}')
    (folder / 'meta/train.txt').write_text('\n'.join((lines * 4)[:2 * BATCH]))
    (folder / 'meta/test.txt').write_text('\n'.join(lines))
    (folder / 'meta/classes.txt').write_text(
        '\n'.join(f'class {label}' for label in range(CLASSES)))
    return root


def small(name, root, work_dir):
    """The config on tiny photos, without weights and workers: one epoch."""
    with patch.dict(os.environ, CSD_DATA_ROOT=str(root)):
        config = Config.fromfile(CONFIGS / f'peers/grocery81_{name}.py')
    config.work_dir = str(work_dir)
    config.experiment_name = work_dir.name
    config.merge_from_dict({
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'model.backbone.init_cfg': None,
        'model.backbone.widen_factor': 0.25,
        'train_dataloader.dataset.pipeline.1.scale': 32,
        'val_dataloader.dataset.pipeline.1.scale': 36,
        'val_dataloader.dataset.pipeline.2.crop_size': 32,
        'default_hooks.logger.interval': 1,
        'default_hooks.checkpoint.interval': -1,
        'default_hooks.checkpoint.save_best': None,
    })
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        config[loader].update(num_workers=0, persistent_workers=False)
    return config


@pytest.mark.parametrize('name', CHANGES)
def test_trains_two_steps_and_validates(name, drawn_root, tmp_path):
    if name == 'supcon':
        pytest.importorskip('pytorch_metric_learning')
    runner = Runner.from_cfg(small(name, drawn_root, tmp_path))
    before = [p.detach().clone() for p in runner.model.parameters()]
    runner.train()
    scalars = runner.message_hub.log_scalars
    logged = {key[6:] for key in scalars if key.startswith('train/')}
    expected = {'loss'}
    if name in TWO_VIEWS:
        expected |= {'loss_cls', 'loss_cls_aug', 'ssdp_area'}
        expected |= TWO_VIEWS[name]
    assert {key for key in logged if 'loss' in key} == {
        key for key in expected if 'loss' in key}
    assert expected <= logged
    assert len(scalars['train/loss'].data[0]) == 2
    assert np.isfinite(scalars['train/loss'].data[0]).all()
    assert 'val/accuracy/top1' in scalars
    moved = [not torch.equal(a, b)
             for a, b in zip(before, runner.model.parameters())]
    assert all(moved)


def mixed_batch(name):
    """What the head gets of images that are one value each, by label."""
    model = classifier(name)
    labels = [3 * i for i in range(BATCH)]
    batch = dict(
        inputs=[torch.full((3, 20, 24), 10 * i, dtype=torch.uint8)
                for i in range(BATCH)],
        data_samples=[DataSample().set_gt_label(label) for label in labels])
    out = model.data_preprocessor(batch, training=True)
    mean = torch.tensor(peer(name).data_preprocessor.mean).view(-1, 1, 1)
    std = torch.tensor(peer(name).data_preprocessor.std).view(-1, 1, 1)
    values = (out['inputs'] * std + mean).mean(1)
    scores = torch.stack([sample.gt_score for sample in out['data_samples']])
    return model, values, scores, out['data_samples']


@pytest.mark.parametrize('name', ['mixup', 'cutmix'])
@pytest.mark.parametrize('draw', range(5))
def test_mixed_labels_are_the_shares_of_the_images(name, draw):
    np.random.seed(draw)
    torch.manual_seed(draw)
    _, values, scores, samples = mixed_batch(name)
    assert scores.shape == (BATCH, CLASSES)
    assert scores.min() >= 0
    torch.testing.assert_close(scores.sum(1), torch.ones(BATCH))
    assert (scores > 0).sum(1).max() <= 2

    of_class = 10 * torch.arange(CLASSES) / 3
    for i, (value, score) in enumerate(zip(values, scores)):
        assert score[3 * i] > 0 and samples[i].gt_label.item() == 3 * i
        torch.testing.assert_close(
            value.mean(), score @ of_class, atol=1e-2, rtol=1e-4)
        if name == 'mixup':
            assert value.max() - value.min() < 1e-3
            continue
        other = (value - 10 * i).abs() > 1
        if other.any():
            rows, cols = other.nonzero().unbind(1)
            assert other[rows.min():rows.max() + 1,
                         cols.min():cols.max() + 1].all()
        assert score[3 * i] == pytest.approx(
            1 - other.float().mean().item(), abs=1e-6)


@pytest.mark.parametrize('name', ['mixup', 'cutmix'])
def test_head_learns_the_smoothed_mixture(name):
    model, _, scores, samples = mixed_batch(name)
    feats = torch.randn(BATCH, 1280)
    loss = model.head.loss((feats, ), samples)['loss']
    target = 0.9 * scores + 0.1 / CLASSES
    logits = F.linear(feats, model.head.fc.weight, model.head.fc.bias)
    torch.testing.assert_close(
        loss, -(target * logits.log_softmax(1)).sum(1).mean())


def test_random_erasing_fills_a_box_of_every_second_image():
    pipeline = peer('random-erasing').train_dataloader.dataset.pipeline
    kinds = [step.type for step in pipeline]
    assert kinds[-2:] == ['RandomErasing', 'PackInputs']
    erase = Compose(pipeline[-2:-1])
    np.random.seed(0)
    erased = 0
    for _ in range(200):
        image = np.full((60, 60, 3), 300, dtype=np.int16)
        image = erase(dict(img=image))['img']
        assert image.shape == (60, 60, 3)
        rows, cols = np.nonzero((image != 300).any(2))
        if not len(rows):
            continue
        erased += 1
        height, width = np.ptp(rows) + 1, np.ptp(cols) + 1
        assert len(rows) == height * width
        assert 0.015 <= height * width / 3600 <= 0.41
        box = image[rows.min():rows.max() + 1, cols.min():cols.max() + 1]
        assert box.max() < 256 and box.std() > 50
    assert 75 <= erased <= 125


def test_arcface_equals_its_equation():
    head = classifier('arcface').head
    feats = torch.randn(BATCH, 1280)
    labels = torch.randint(0, CLASSES, (BATCH, ))
    samples = [DataSample().set_gt_label(label) for label in labels]
    loss = head.loss((feats, ), samples)['loss']
    total = 0.
    for feature, label in zip(feats, labels):
        cosines = [
            F.cosine_similarity(feature, weight, dim=0).item()
            for weight in head.norm_product.weight
        ]
        angle = np.arccos(cosines[label])
        assert angle + 0.2 < np.pi
        cosines[label] = np.cos(angle + 0.2)
        logits = 16 * torch.tensor(cosines)
        total -= float(logits.log_softmax(0)[label])
    torch.testing.assert_close(loss, torch.tensor(total / BATCH))
    torch.testing.assert_close(
        head((feats, ))[0],
        16 * F.cosine_similarity(feats[:1], head.norm_product.weight))


def test_margins_grow_as_classes_get_rarer():
    """mmpretrain's hook sets SoyGene's margins by its equation."""
    cfg = Config.fromfile(CONFIGS / 'peers/soygene_adaptive-margins.py')
    settings, = cfg.custom_hooks
    counts = np.arange(1110) % 13 + 3
    labels = np.repeat(np.arange(1110), counts)
    head = MODELS.build(cfg.model.head)
    model = SimpleNamespace(head=head)
    dataset = SimpleNamespace(get_gt_labels=lambda: labels)
    HOOKS.build(settings).before_train(SimpleNamespace(
        model=model, train_dataloader=SimpleNamespace(dataset=dataset)))
    rate = counts**-0.25
    rate = (rate - rate.min()) / (rate.max() - rate.min())
    np.testing.assert_allclose(head.margins, 0.1 + 0.2 * rate, rtol=1e-5)
    assert head.margins[0] > head.margins[12]


def test_arcface_learns_at_the_heads_learning_rate():
    head = classifier('arcface').head
    wrapper = peer('arcface').optim_wrapper
    rate = wrapper.optimizer.lr * wrapper.paramwise_cfg.custom_keys[
        'head.'].lr_mult
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate)
    # All features share a part, as pooled activations do.
    centers = torch.rand(CLASSES, 1280)
    samples = [DataSample().set_gt_label(i) for i in range(CLASSES)]
    losses = []
    for _ in range(60):
        feats = centers + 0.1 * torch.randn_like(centers)
        loss = head.loss((feats, ), samples)['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_cle_vit_is_that_of_cotton80_with_the_weights_of_other_sets():
    ours, cotton = peer('cle-vit'), load('peers/cotton80_cle-vit')
    assert ours.default_hooks.ssdp == cotton.default_hooks.ssdp
    assert ours.model.head.contrast == cotton.model.head.contrast
    assert ours.model.head.aug_loss_weight == 1
    assert ours.model.neck.gating == cotton.model.neck.gating == 'none'


def test_two_view_peers_have_one_head():
    for name in TWO_VIEWS:
        head = peer(name).model.head
        assert head.cls_head == load('peers/grocery81_baseline').model.head
        assert head.get('aug_loss_weight', 1) == 1
