"""SoyLocal at 448 px: 200 cultivars of soybean, 3 training images each."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='SoyLocal', data_root='{{$CSD_DATA_ROOT:data}}/soybean200')

data_preprocessor = dict(num_classes=200)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
