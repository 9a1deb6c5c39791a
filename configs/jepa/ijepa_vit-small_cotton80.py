"""I-JEPA on Cotton80: the training leaves, labels unused."""
_base_ = [
    '../_base_/models/jepa_vit-small_224.py',
    '../_base_/datasets/one-crop_bs64_224.py',
    '../_base_/schedules/jepa_bs2048_600e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(
        type='Cotton80', data_root='{{$CSD_DATA_ROOT:data}}/COTTON'))

default_hooks = dict(checkpoint=dict(save_best=None, interval=10))
