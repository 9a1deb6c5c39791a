"""ST-ProtoPNet on Grocery81: real photos, small enough for a CPU."""
_base_ = [
    '../_base_/models/st-protopnet_mobilenet-v2_224.py',
    '../_base_/datasets/grocery81_bs16_224.py',
    '../_base_/schedules/st-protopnet_bs16_30e.py',
]

model = dict(head=dict(num_classes=81))

val_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='BranchAccuracy'),
]
test_evaluator = val_evaluator

default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
