"""ST-ProtoPNet on CUB-200-2011, whole images: 200 species of birds."""
_base_ = [
    '../_base_/models/st-protopnet_resnet50_224.py',
    '../_base_/datasets/st-protopnet_bs80_224.py',
    '../_base_/schedules/st-protopnet_bs80_150e.py',
]

dataset = dict(
    type='CUB', data_root='{{$CSD_DATA_ROOT:data}}/CUB_200_2011')

data_preprocessor = dict(num_classes=200)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)

model = dict(head=dict(num_classes=200))

# Where published rates are one tenth, those of the new layers are not.
optim_wrapper = dict(
    optimizer=dict(lr=1e-5),
    paramwise_cfg=dict(
        custom_keys={
            'add_on': dict(lr_mult=300.0),
            'prototypes': dict(lr_mult=300.0),
            'last_layer': dict(lr_mult=10.0),
        }))
