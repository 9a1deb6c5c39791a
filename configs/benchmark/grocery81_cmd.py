"""Pre-training on Grocery81 without labels: what the features are worth.

The score is Rank-1 after the last epoch: queries are the test photos, the
gallery is the training photos (protocol train-gallery). Weighted kNN stands
beside it in the logs, where compare_runs.py reads it: docs/methods/cmd.md.
"""
baseline = 'dino'
seeds = [1, 2, 3]
metric = 'retrieval/train-gallery/rank1'

_data_root = '{{$CSD_DATA_ROOT:data}}/grocery81'
_gallery = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        type='CustomDataset',
        data_root=_data_root,
        data_prefix='images',
        classes=f'{_data_root}/meta/classes.txt',
        ann_file='meta/train.txt',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=146, edge='short'),
            dict(type='CenterCrop', crop_size=128),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=False))
_knn = 'default_hooks.knn'
options = {
    'train_dataloader.num_workers': 1,
    f'{_knn}.query_dataloader.num_workers': 1,
    f'{_knn}.query_dataloader.dataset.ann_file': 'meta/test.txt',
    f'{_knn}.gallery_dataloader': _gallery,
    f'{_knn}.metrics': [
        dict(type='KNNAccuracy', ks=(10, 20)),
        dict(type='RetrievalMetric', protocol='train-gallery'),
    ],
}

runs = dict(
    dino=dict(title='DINO', config='../peers/dino_mobilenet-v2_grocery81.py'),
    region=dict(
        title='+ L_R', config='../cmd/cmd_mobilenet-v2_grocery81_region.py'),
    cmd=dict(
        title='+ L_R + L_S (CMD)',
        config='../cmd/cmd_mobilenet-v2_grocery81.py'),
    mocov2=dict(
        title='MoCo v2', config='../peers/mocov2_mobilenet-v2_grocery81.py'),
    simsiam=dict(
        title='SimSiam', config='../peers/simsiam_mobilenet-v2_grocery81.py'))
