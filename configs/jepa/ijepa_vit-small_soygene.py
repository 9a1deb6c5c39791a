"""I-JEPA on SoyGene: 1110 cultivars of soybean."""
_base_ = './ijepa_vit-small_cotton80.py'

train_dataloader = dict(
    dataset=dict(
        type='SoyGene',
        data_root='{{$CSD_DATA_ROOT:data}}/soybean_gene'))
