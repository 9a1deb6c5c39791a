"""CSDNet on SoyAgeing, stage R3."""
_base_ = './soyageing_r1.py'

dataset = dict(data_root='{{$CSD_DATA_ROOT:data}}/R3', stage='R3')

train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
