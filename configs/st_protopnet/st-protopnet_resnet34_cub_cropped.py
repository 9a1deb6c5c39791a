"""ST-ProtoPNet on CUB-200-2011, cropped by boxes, with a ResNet-34."""
_base_ = [
    '../_base_/models/st-protopnet_resnet50_224.py',
    '../_base_/datasets/st-protopnet_boxes_bs80_224.py',
    '../_base_/schedules/st-protopnet_bs80_50e.py',
]

dataset = dict(
    type='CUBObjects', data_root='{{$CSD_DATA_ROOT:data}}/CUB_200_2011')

data_preprocessor = dict(num_classes=200)
train_dataloader = dict(dataset=dict(dataset=dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)

model = dict(
    backbone=dict(
        depth=34,
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth'  # noqa: E501
        )),
    head=dict(num_classes=200, in_channels=512, form='cropped'))
