"""ST-ProtoPNet on Stanford Dogs, whole images: 120 breeds."""
_base_ = [
    '../_base_/models/st-protopnet_resnet50_224.py',
    '../_base_/datasets/st-protopnet_bs80_224.py',
    '../_base_/schedules/st-protopnet_bs80_150e.py',
]

dataset = dict(
    type='StanfordDogs', data_root='{{$CSD_DATA_ROOT:data}}/stanford_dogs')

data_preprocessor = dict(num_classes=120)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)

model = dict(head=dict(num_classes=120))

# Where published rates are one tenth, those of the new layers are not.
optim_wrapper = dict(
    optimizer=dict(lr=1e-5, weight_decay=5e-4),
    paramwise_cfg=dict(
        custom_keys={
            'add_on': dict(lr_mult=300.0),
            'prototypes': dict(lr_mult=300.0),
            'last_layer': dict(lr_mult=10.0),
        }))

# The published decay every 10 epochs, from 19 to 119.
param_scheduler = dict(
    milestones=[19, 29, 39, 49, 59, 69, 79, 89, 99, 119, 139])
