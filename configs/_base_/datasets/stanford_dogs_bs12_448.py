"""Stanford Dogs at 448 px: 120 breeds of dogs."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='StanfordDogs', data_root='{{$CSD_DATA_ROOT:data}}/stanford_dogs')

data_preprocessor = dict(num_classes=120)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
