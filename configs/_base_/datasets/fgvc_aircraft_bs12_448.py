"""FGVC-Aircraft at 448 px: 100 variants of aircraft, trained on trainval."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='FGVCAircraft',
    data_root='{{$CSD_DATA_ROOT:data}}/fgvc-aircraft-2013b')

data_preprocessor = dict(num_classes=100)
train_dataloader = dict(dataset=dict(**dataset, split='trainval'))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
