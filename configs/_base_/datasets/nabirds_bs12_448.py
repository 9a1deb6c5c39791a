"""NABirds at 448 px: 555 visual categories of birds."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='NABirds', data_root='{{$CSD_DATA_ROOT:data}}/nabirds')

data_preprocessor = dict(num_classes=555)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
