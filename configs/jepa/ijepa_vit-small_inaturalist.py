"""I-JEPA on images in a list, one `path label` per line, as iNaturalist's."""
_base_ = './ijepa_vit-small_cotton80.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='{{$CSD_DATA_ROOT:data}}/inaturalist',
        ann_file='meta/train.txt',
        pipeline=_base_.train_pipeline))
