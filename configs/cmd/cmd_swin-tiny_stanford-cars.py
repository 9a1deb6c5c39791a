"""CMD on Stanford Cars: 196 models."""
_base_ = './cmd_swin-tiny_cotton80.py'

train_dataloader = dict(
    dataset=dict(
        type='StanfordCars',
        data_root='{{$CSD_DATA_ROOT:data}}/stanfordcars'))
