"""CMD on SoyLocal: 200 cultivars of soybean."""
_base_ = './cmd_swin-tiny_cotton80.py'

train_dataloader = dict(
    dataset=dict(
        type='SoyLocal',
        data_root='{{$CSD_DATA_ROOT:data}}/soybean200'))
