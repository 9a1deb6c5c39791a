"""CSDNet on SoyAgeing, stage R4."""
_base_ = './soyageing_r1.py'

dataset = dict(data_root='{{$CSD_DATA_ROOT:data}}/R4', stage='R4')

train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
