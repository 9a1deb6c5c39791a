"""ECAML on Stanford Cars: the first 98 models train, the others are unseen."""
_base_ = [
    '../_base_/models/ecaml_resnet50_224.py',
    '../_base_/schedules/adam_100x100.py',
    '../_base_/datasets/unseen_pk65x2_224.py',
]

dataset = dict(
    type='StanfordCars', data_root='{{$CSD_DATA_ROOT:data}}/stanfordcars')
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
