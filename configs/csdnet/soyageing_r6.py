"""CSDNet on SoyAgeing, stage R6."""
_base_ = './soyageing_r1.py'

dataset = dict(data_root='{{$CSD_DATA_ROOT:data}}/R6', stage='R6')

train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
