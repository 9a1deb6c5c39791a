"""Metrics of features: from one process and from two, each image once."""
from functools import partial

import pytest
import torch
from mmengine.dataset import DefaultSampler, default_collate, pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from ranks import run_ranks
from torch.utils.data import DataLoader

from csd_mmpretrain.evaluation.features import (
    collect_features,
    evaluate_features,
)
from csd_mmpretrain.evaluation.knn import knn_scores
from csd_mmpretrain.evaluation.retrieval import PROTOCOLS, evaluate_protocol

METRICS = [
    dict(type='KNNAccuracy', ks=(1, 4), device='cpu'),
    *(dict(type='RetrievalMetric', protocol=protocol, device='cpu')
      for protocol in PROTOCOLS)
]
SIZES = (13, 11)


class Images(list):
    """Some images; those of a split are drawn by its seed."""

    def __init__(self, num, seed):
        generator = torch.Generator().manual_seed(seed)
        for index in range(num):
            image = torch.randint(
                0, 256, (3, 32, 32), generator=generator).byte()
            sample = DataSample(metainfo=dict(sample_idx=index))
            self.append(
                dict(inputs=image, data_samples=sample.set_gt_label(
                    index % 3)))


def build(kind='ImageClassifier'):
    torch.manual_seed(0)
    backbone = dict(
        type='VisionTransformer',
        img_size=32,
        patch_size=8,
        arch=dict(
            embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=24),
        out_type='raw')
    if kind == 'ImageClassifier':
        return MODELS.build(
            dict(
                type=kind,
                backbone=backbone,
                head=dict(
                    type='LinearClsHead', num_classes=3, in_channels=16)))
    return MODELS.build(
        dict(
            type='SimSiam',
            backbone=backbone,
            neck=dict(
                type='NonLinearNeck',
                in_channels=16,
                hid_channels=16,
                out_channels=16),
            head=dict(
                type='LatentPredictHead',
                loss=dict(type='CosineSimilarityLoss'),
                predictor=dict(
                    type='NonLinearNeck',
                    in_channels=16,
                    hid_channels=16,
                    out_channels=16)),
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor',
                mean=[127.5] * 3,
                std=[127.5] * 3,
                bgr_to_rgb=True)))


def loaders(batch_size=4, collate=pseudo_collate, sizes=SIZES):
    return [
        DataLoader(
            images,
            batch_size,
            sampler=DefaultSampler(images, shuffle=False, seed=0),
            collate_fn=collate)
        for images in (Images(sizes[0], 0), Images(sizes[1], 1))
    ]


@pytest.mark.parametrize('kind', ['ImageClassifier', 'SimSiam'])
@pytest.mark.parametrize('collate', [pseudo_collate, default_collate])
def test_equals_the_functions(kind, collate):
    model = build(kind).train()
    found = evaluate_features(
        model, *loaders(collate=collate), Evaluator(METRICS))
    assert model.training
    gallery, query = (
        collect_features(model, loader)
        for loader in loaders(batch_size=1, collate=collate))
    expected = dict()
    for k, scores in knn_scores(query, gallery, (1, 4)).items():
        expected[f'knn/top1_k{k}'] = 100 * scores.top1
        expected[f'knn/top5_k{k}'] = 100 * scores.top5
    for protocol in PROTOCOLS:
        scores = evaluate_protocol(protocol, gallery, query)
        prefix = f'retrieval/{protocol}'
        expected[f'{prefix}/rank1'] = 100 * scores.recall[1]
        expected[f'{prefix}/rank5'] = 100 * scores.recall[5]
        expected[f'{prefix}/mAP'] = 100 * scores.mean_ap
        expected[f'{prefix}/queries'] = scores.queries
        expected[f'{prefix}/left_out'] = 0
    assert found == pytest.approx(expected)


def on_rank(rank, folder):
    metrics = [dict(m, collect_dir=f'{folder}/parts') for m in METRICS]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return evaluate_features(build(), *loaders(), Evaluator(metrics))


def test_ranks_equal_one_process(tmp_path):
    """With odd numbers of images, the sampler doubles one of each split."""
    expected = evaluate_features(build(), *loaders(), Evaluator(METRICS))
    for found in run_ranks(on_rank, tmp_path, tmp_path):
        assert found == pytest.approx(expected)


def test_the_class_token_is_the_feature():
    model = build().eval()
    loader, _ = loaders(3)
    features, _ = collect_features(model, loader)
    for batch, found in zip(loader, features.split(3)):
        tokens, = model.backbone(torch.stack(batch['inputs']).float())
        assert torch.equal(found, tokens[:, 0])


def test_errors():
    model = build('SimSiam')
    gallery, query = loaders()
    evaluate = partial(evaluate_features, model, gallery, query)
    with pytest.raises(ValueError, match='SimSiam is self-supervised'):
        evaluate(Evaluator(METRICS), stage='neck')
    with pytest.raises(ValueError, match=r'ks=\(20,\): the gallery has 13'):
        evaluate(Evaluator(dict(type='KNNAccuracy', ks=(20, ))))
    for image in gallery.dataset:
        image['data_samples'].set_metainfo(dict(sample_idx=0))
    with pytest.raises(ValueError, match='1 different sample_idx, but 13'):
        evaluate(Evaluator(METRICS))
    with pytest.raises(ValueError, match="no retrieval protocol 'recall'"):
        Evaluator(dict(type='RetrievalMetric', protocol='recall'))
