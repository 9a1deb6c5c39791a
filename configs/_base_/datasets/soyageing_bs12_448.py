"""SoyAgeing at 448 px: 198 cultivars of soybean, 5 training images each.

One of five stages of growth (R1, R3, R4, R5, R6) at a time; this is R1.
"""
_base_ = './fgvc_bs12_448.py'

dataset = dict(
    type='SoyAgeing', data_root='{{$CSD_DATA_ROOT:data}}/R1', stage='R1')

data_preprocessor = dict(num_classes=198)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
