"""Cotton80 at 448 px: 80 cultivars of cotton, 3 training images each."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='Cotton80', data_root='{{$CSD_DATA_ROOT:data}}/COTTON')

data_preprocessor = dict(num_classes=80)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
