"""I-JEPA on CUB-200-2011: 200 species of birds."""
_base_ = './ijepa_vit-small_cotton80.py'

train_dataloader = dict(
    dataset=dict(
        type='CUB',
        data_root='{{$CSD_DATA_ROOT:data}}/CUB_200_2011'))
