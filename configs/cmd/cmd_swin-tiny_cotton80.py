"""CMD on Cotton80: the training leaves, labels unused."""
_base_ = [
    '../_base_/models/cmd_swin-tiny_224.py',
    '../_base_/datasets/multi-crop_bs64_224.py',
    '../_base_/schedules/self-distillation_bs256_300e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(
        type='Cotton80', data_root='{{$CSD_DATA_ROOT:data}}/COTTON'))

default_hooks = dict(checkpoint=dict(save_best=None, interval=10))
