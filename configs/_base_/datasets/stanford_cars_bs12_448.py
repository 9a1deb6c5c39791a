"""Stanford Cars at 448 px: 196 models of cars."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='StanfordCars', data_root='{{$CSD_DATA_ROOT:data}}/stanfordcars')

data_preprocessor = dict(num_classes=196)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
