"""ECAML on In-Shop, whose test has queries and a gallery of other items."""
_base_ = [
    '../_base_/models/ecaml_resnet50_224.py',
    '../_base_/schedules/adam_100x100.py',
    '../_base_/datasets/unseen_pk65x2_224.py',
]

dataset = dict(
    type='InShopRetrieval', data_root='{{$CSD_DATA_ROOT:data}}/inshop')
test_pipeline = [
    *_base_.test_pipeline[:-1],
    dict(
        type='PackInputs',
        meta_keys=('sample_idx', 'img_path', 'in_gallery')),
]
seen = dict(**dataset, split='train', pipeline=_base_.test_pipeline)
unseen = dict(**dataset, split='test', pipeline=test_pipeline)

train_dataloader = dict(
    dataset=dict(**dataset, split='train', pipeline=_base_.train_pipeline))
test_dataloader = dict(dataset=unseen)
test_evaluator = [
    dict(
        type='RetrievalMetric',
        protocol='query-gallery',
        ranks=(1, 10, 20, 30)),
]
default_hooks = dict(
    seen=dict(query_dataloader=dict(dataset=seen)),
    unseen=dict(query_dataloader=dict(dataset=unseen)))
