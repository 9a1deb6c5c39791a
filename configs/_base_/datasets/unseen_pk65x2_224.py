"""Images at 224 px, 65 classes x 2; a config says which classes are unseen.

Both curves look at the model every 10 epochs. Nothing is chosen by them: the
last checkpoint counts.
"""
_base_ = '../default_runtime.py'

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=130,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(
        type='PKSampler', num_classes=65, num_images=2, num_batches=100),
    batch_sampler=dict(type='SeededBatchSampler'))

test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_evaluator = [
    dict(
        type='RetrievalMetric',
        protocol='leave-one-out',
        ranks=(1, 2, 4, 8)),
    dict(type='ClusteringMetric'),
]

curve = dict(
    type='KNNHook',
    stage='pre_logits',
    interval=10,
    query_dataloader=test_dataloader)
recall = dict(type='RetrievalMetric', protocol='leave-one-out', ranks=(1, ))
default_hooks = dict(
    checkpoint=dict(save_best=None),
    seen=dict(**curve, metrics=[dict(**recall, prefix='seen')]),
    unseen=dict(**curve, metrics=[dict(**recall, prefix='unseen')]))
