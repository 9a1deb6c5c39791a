"""SoyGlobal at 448 px: 1938 cultivars of soybean, 3 training images each."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='SoyGlobal', data_root='{{$CSD_DATA_ROOT:data}}/soybean2000')

data_preprocessor = dict(num_classes=1938)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
