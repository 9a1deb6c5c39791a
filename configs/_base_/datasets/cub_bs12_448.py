"""CUB-200-2011 at 448 px: 200 species of birds."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='CUB', data_root='{{$CSD_DATA_ROOT:data}}/CUB_200_2011')

data_preprocessor = dict(num_classes=200)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
