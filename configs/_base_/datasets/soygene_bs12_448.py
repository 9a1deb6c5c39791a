"""SoyGene at 448 px: 1110 cultivars of soybean, 3 to 15 training images."""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='SoyGene', data_root='{{$CSD_DATA_ROOT:data}}/soybean_gene')

data_preprocessor = dict(num_classes=1110)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
