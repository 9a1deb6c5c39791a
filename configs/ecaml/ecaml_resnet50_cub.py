"""ECAML on CUB: the first 100 species train, the last 100 are unseen."""
_base_ = [
    '../_base_/models/ecaml_resnet50_224.py',
    '../_base_/schedules/adam_100x100.py',
    '../_base_/datasets/unseen_pk65x2_224.py',
]

dataset = dict(type='CUB', data_root='{{$CSD_DATA_ROOT:data}}/CUB_200_2011')
splits = [
    dict(**dataset, split=split, pipeline=_base_.test_pipeline)
    for split in ('train', 'test')
]
seen = dict(type='ClassSplit', classes='first-half', dataset=splits)
unseen = dict(
    type='ClassSplit', classes='last-half', unseen=True, dataset=splits)

train_dataloader = dict(
    dataset=dict(
        type='ClassSplit',
        classes='first-half',
        dataset=[
            dict(**dataset, split=split, pipeline=_base_.train_pipeline)
            for split in ('train', 'test')
        ]))
test_dataloader = dict(dataset=unseen)
default_hooks = dict(
    seen=dict(query_dataloader=dict(dataset=seen)),
    unseen=dict(query_dataloader=dict(dataset=unseen)))
