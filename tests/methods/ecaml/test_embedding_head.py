"""The embedding head: gradients, ranks, and what it refuses."""
import copy
import time

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from ranks import run_ranks

import csd_mmpretrain  # noqa: F401

SIZE = 12


def build(confusion=None, dtype=torch.float64, **head):
    torch.manual_seed(0)
    head = dict(dict(type='EmbeddingHead', in_channels=16, embed_dims=8,
                     metric=dict(type='BinomialDevianceLoss')), **head)
    if confusion is not None:
        head['confusion'] = dict(type='EnergyConfusionLoss', **confusion)
    model = MODELS.build(dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet', depth=18, num_stages=2, strides=(1, 2),
            dilations=(1, 1), out_indices=(1, ), stem_channels=8,
            base_channels=8, norm_eval=True),
        neck=dict(type='GlobalAveragePooling'),
        head=head,
        data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3)))
    model.init_weights()
    return model.to(dtype).train()


def make_batch(labels=None, size=SIZE):
    labels = torch.arange(size) % 4 if labels is None else labels
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size, 3, 32, 32), generator=generator)
    return dict(
        inputs=list(images.byte()),
        data_samples=[DataSample().set_gt_label(label)
                      for label in labels.tolist()])


def losses(model, batch=None):
    """Losses as training computes them, in the model's precision."""
    data = model.data_preprocessor(
        default_collate_samples(batch or make_batch()), training=True)
    dtype = next(model.parameters()).dtype
    return model(data['inputs'].to(dtype), data['data_samples'], mode='loss')


def default_collate_samples(batch):
    return dict(inputs=torch.stack(batch['inputs']),
                data_samples=copy.deepcopy(batch['data_samples']))


def gradients(model, keep=lambda name: True):
    model.zero_grad()
    found = losses(model)
    sum(v for k, v in found.items() if 'loss' in k).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()
            if keep(name)}


def test_confusion_leaves_the_backbone_bit_for_bit():
    alone = gradients(build())
    confused = gradients(build(dict(loss_weight=1.)))
    assert set(alone) == set(confused)
    for name, grad in alone.items():
        if name.startswith('backbone.'):
            assert torch.equal(grad, confused[name]), name
    torch.testing.assert_close(  # 0 but for rounding
        alone['head.fc.bias'], confused['head.fc.bias'], rtol=0, atol=1e-6)
    assert not torch.allclose(
        alone['head.fc.weight'], confused['head.fc.weight'])


def test_losses_of_a_step():
    found = losses(build(dict(random_num=None)))
    assert set(found) == {'loss_metric', 'loss_ec', 'loss_row_norm', 'energy',
                          'embedding_norm'}
    model = build(dict(random_num=None))
    batch = default_collate_samples(make_batch())
    data = model.data_preprocessor(batch, training=True)
    z = model.extract_feat(data['inputs'].double(), stage='pre_logits')
    torch.testing.assert_close(found['embedding_norm'],
                               z.norm(dim=1).mean())
    assert set(losses(build())) == {'loss_metric', 'embedding_norm'}


@pytest.mark.parametrize('metric', [
    dict(type='TripletMarginLoss', margin=0.1), dict(type='NPairsLoss')])
def test_losses_of_the_library(metric):
    pytest.importorskip('pytorch_metric_learning')
    model = build(dict(), metric=dict(type='MetricLearningLoss', loss=metric),
                  dtype=torch.float32)
    grads = gradients(model)
    assert grads['backbone.conv1.weight'].abs().sum() > 0


def test_predictions_are_unit_features_without_scores():
    model = build().eval()
    batch = default_collate_samples(make_batch())
    data = model.data_preprocessor(batch)
    inputs = data['inputs'].double()
    z = model.extract_feat(inputs, stage='pre_logits')
    samples = model(inputs, data['data_samples'], mode='predict')
    for sample, feature in zip(samples, z):
        torch.testing.assert_close(sample.feature, feature / feature.norm())
        assert 'pred_score' not in sample and 'gt_label' in sample
    features = torch.stack([s.feature for s in samples])
    torch.testing.assert_close(model(inputs), features)
    assert torch.equal(
        torch.stack([s.feature for s in model(inputs, mode='predict')]),
        features)


def test_features_that_are_not_numbers_show_in_the_loss():
    """FiniteCheckHook then stops the run."""
    model = build(dict())
    model.head.fc.weight.data[0] = torch.nan
    assert not torch.isfinite(losses(model)['loss_metric'])


RUNS = dict(draws=dict(random_num=2), all_pairs=dict(random_num=None),
            layer=dict(pairs='layer', random_num=2))


def on_rank(rank):
    found = {}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for name, confusion in RUNS.items():
            model = build(confusion)
            wrapped = torch.nn.parallel.DistributedDataParallel(model)
            batch = default_collate_samples(make_batch())
            batch = dict(inputs=batch['inputs'][rank::2],
                         data_samples=batch['data_samples'][rank::2])
            data = model.data_preprocessor(batch, training=True)
            torch.manual_seed(5 + rank)  # as ExactResumeHook, by rank
            parts = wrapped(data['inputs'].double(), data['data_samples'],
                            mode='loss')
            sum(v for k, v in parts.items() if 'loss' in k).backward()
            found[name] = (
                {k: v.detach() for k, v in parts.items()},
                {k: p.grad for k, p in model.named_parameters()})
    return found


def test_two_ranks_equal_one(tmp_path):
    ranks = run_ranks(on_rank, tmp_path)
    for name, confusion in RUNS.items():
        model = build(confusion)
        torch.manual_seed(5)
        parts = losses(model)
        sum(v for k, v in parts.items() if 'loss' in k).backward()
        for values, grads in (rank[name] for rank in ranks):
            for key, value in parts.items():
                torch.testing.assert_close(values[key], value.detach(),
                                           rtol=2e-6, atol=1e-6)
            for key, p in model.named_parameters():
                torch.testing.assert_close(grads[key], p.grad, rtol=1e-4,
                                           atol=1e-7)


def test_confusion_costs_little():
    """Below 2 % of a MobileNetV2 step at the released batch's size."""
    fc = torch.nn.Linear(1280, 512)
    loss = MODELS.build(dict(type='EnergyConfusionLoss'))
    x, labels = torch.randn(130, 1280), torch.arange(130) % 65
    backbone = MODELS.build(dict(type='MobileNetV2'))
    backbone.train()
    images = torch.randn(13, 3, 96, 96)  # a tenth, and smaller ones

    def confuse():
        parts = loss(fc(x.detach()), labels, fc.weight)
        (parts['loss_ec'] + parts['loss_row_norm']).backward()

    def seconds(run):
        best = float('inf')
        for _ in range(3):
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
        return best

    step = 10 * seconds(lambda: backbone(images)[-1].mean().backward())
    at_224 = step * (224 / 96)**2
    assert seconds(confuse) < 0.02 * at_224


def test_errors():
    with pytest.raises(ValueError, match='embed_dims=1, but in one dim'):
        build(embed_dims=1)
    model = build(dict())
    for labels, error in (
            (torch.zeros(SIZE, dtype=torch.int64), '12 images has one class'),
            (torch.arange(SIZE), '12 images has no two of one class.*PK')):
        with pytest.raises(ValueError, match=error):
            losses(model, make_batch(labels))
    batch = make_batch()
    for sample in batch['data_samples']:
        sample.set_gt_score(torch.rand(4))
    with pytest.raises(ValueError, match='mixed labels.*Mixup and CutMix'):
        losses(model, batch)
    batch = make_batch()
    for sample in batch['data_samples']:
        sample.set_field(torch.rand(1), 'gt_label', dtype=torch.Tensor)
    with pytest.raises(ValueError, match='12 labels of torch.float32'):
        losses(model, batch)
