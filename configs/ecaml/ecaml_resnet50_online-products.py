"""ECAML on Stanford Online Products, whose test products are others."""
_base_ = [
    '../_base_/models/ecaml_resnet50_224.py',
    '../_base_/schedules/adam_100x100.py',
    '../_base_/datasets/unseen_pk65x2_224.py',
]

dataset = dict(
    type='OnlineProducts',
    data_root='{{$CSD_DATA_ROOT:data}}/Stanford_Online_Products')
seen = dict(**dataset, split='train', pipeline=_base_.test_pipeline)
unseen = dict(**dataset, split='test', pipeline=_base_.test_pipeline)

train_dataloader = dict(
    dataset=dict(**dataset, split='train', pipeline=_base_.train_pipeline))
test_dataloader = dict(dataset=unseen)
# K-means into 11,316 clusters takes hours, so retrieval alone.
test_evaluator = [
    dict(
        type='RetrievalMetric',
        protocol='leave-one-out',
        ranks=(1, 10, 100, 1000)),
]
default_hooks = dict(
    seen=dict(query_dataloader=dict(dataset=seen)),
    unseen=dict(query_dataloader=dict(dataset=unseen)))
