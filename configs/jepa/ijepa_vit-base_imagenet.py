"""I-JEPA on ViT-B/16, as published: ImageNet, a folder for each class."""
_base_ = './ijepa_vit-small_cotton80.py'

model = dict(
    backbone=dict(arch='deit-base'), neck=dict(in_channels=768))

train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='{{$CSD_DATA_ROOT:data}}/imagenet',
        data_prefix='train',
        pipeline=_base_.train_pipeline))
