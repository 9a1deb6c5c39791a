"""CMD on FGVC Aircraft: 100 variants."""
_base_ = './cmd_swin-tiny_cotton80.py'

train_dataloader = dict(
    dataset=dict(
        type='FGVCAircraft',
        data_root='{{$CSD_DATA_ROOT:data}}/fgvc-aircraft-2013b',
        split='trainval'))
