"""ST-ProtoPNet on Stanford Cars, cropped by their boxes: 196 models."""
_base_ = [
    '../_base_/models/st-protopnet_resnet50_224.py',
    '../_base_/datasets/st-protopnet_boxes_bs80_224.py',
    '../_base_/schedules/st-protopnet_bs80_50e.py',
]

dataset = dict(
    type='StanfordCarsObjects',
    data_root='{{$CSD_DATA_ROOT:data}}/stanfordcars')

data_preprocessor = dict(num_classes=196)
train_dataloader = dict(dataset=dict(dataset=dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)

model = dict(head=dict(num_classes=196, form='cropped'))
