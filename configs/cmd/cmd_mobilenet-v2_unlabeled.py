"""CMD on a folder of photos without labels, from ImageNet's weights."""
_base_ = [
    '../_base_/models/cmd_mobilenet-v2_128.py',
    '../_base_/datasets/grocery81_multi-crop_bs32_128.py',
    '../_base_/schedules/self-distillation_bs256_20e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='{{$CSD_DATA_ROOT:data}}/unlabeled',
        with_label=False,
        pipeline=_base_.train_pipeline))

default_hooks = dict(
    checkpoint=dict(save_best=None),
    channels_last=dict(type='ChannelsLastHook'))
