"""Pre-training on Grocery81 from random weights: JEPA, its forms and peers.

All rows have the same small ViT and the same time: the epochs of a row follow
from the measured time of its steps. The score is Rank-1 after the last epoch:
queries are the test photos, the gallery is the training photos. Before the
first epoch the logs have the row of the random encoder. docs/methods/jepa.md
has the command, and that of the probe.
"""
baseline = 'ijepa'
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
            dict(type='ResizeEdge', scale=110, edge='short'),
            dict(type='CenterCrop', crop_size=96),
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
    f'{_knn}.interval': 10,
}


def _run(title, config, epochs, **target):
    """Shorten a config, its schedule included."""
    changes = {
        'train_cfg.max_epochs': epochs,
        'param_scheduler.1.end': epochs,
        'param_scheduler.2.end': epochs,
    }
    changes.update(
        {f'model.target_generator.{key}': value
         for key, value in target.items()})
    return dict(title=title, config=config, options=changes)


_dseq = '../jepa/dseq-jepa_vit-tiny_grocery81.py'
runs = dict(
    ijepa=_run('I-JEPA', '../jepa/ijepa_vit-tiny_grocery81.py', 20),
    dseq=_run('DSeq-JEPA', _dseq, 17),
    flat=_run('DSeq-JEPA, flat', _dseq, 18, sequence=False),
    random=_run('DSeq-JEPA, random order', _dseq, 17, order='random'),
    dino=_run('DINO', '../peers/dino_vit-tiny_grocery81.py', 8),
    cmd=_run('CMD', '../cmd/cmd_vit-tiny_grocery81.py', 6))
