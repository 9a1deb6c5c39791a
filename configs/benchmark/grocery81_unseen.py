"""Features of classes that no training saw: ECAML, classifiers and DINO.

All rows train on photos of the first 41 classes of Grocery81, from ImageNet's
weights, at 128 px, each by the schedule of its own config; DINO's is shorter,
so that it takes the time of CSDNet. The score is Recall@1 among test photos of
the other 40 classes after the last epoch. Recall@1 of the trained classes and
NMI stand beside it in the logs, where compare_runs.py reads them:
docs/methods/ecaml.md. Nothing is chosen by them.
"""
baseline = 'metric'
seeds = [0, 1, 2]
metric = 'unseen/leave-one-out/rank1'

_data_root = '{{$CSD_DATA_ROOT:data}}/grocery81'
_photos = dict(
    type='CustomDataset',
    data_root=_data_root,
    data_prefix='images',
    classes=f'{_data_root}/meta/classes.txt')
_test = dict(
    **_photos,
    ann_file='meta/test.txt',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', scale=146, edge='short'),
        dict(type='CenterCrop', crop_size=128),
        dict(type='PackInputs'),
    ])
_seen = dict(type='ClassSplit', classes='first-half', dataset=_test)
_unseen = dict(
    type='ClassSplit', classes='last-half', unseen=True, dataset=_test)


def _look(name, dataset, stage):
    return dict(
        type='KNNHook',
        interval=1000,  # before the training and after it
        stage=stage,
        query_dataloader=dict(
            batch_size=64,
            num_workers=1,
            dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False)),
        metrics=[
            dict(
                type='RetrievalMetric',
                protocol='leave-one-out',
                ranks=(1, 2, 4, 8),
                prefix=name),
            dict(type='ClusteringMetric', prefix=name),
        ])


def _run(title, config, stage=None, **options):
    return dict(
        title=title,
        config=config,
        options={
            'train_dataloader.num_workers': 1,
            'default_hooks.seen': _look('seen', _seen, stage),
            'default_hooks.unseen': _look('unseen', _unseen, stage),
            **options
        })


def _train(*pipeline):
    return {
        'train_dataloader.dataset':
        dict(
            _delete_=True,
            type='ClassSplit',
            classes='first-half',
            dataset=dict(
                **_photos, ann_file='meta/train.txt', pipeline=[
                    dict(type='LoadImageFromFile'), *pipeline,
                    dict(type='PackInputs')]))
    }


_flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')


def _crop(size, *areas):
    return dict(
        type='RandomResizedCrop', scale=size, crop_ratio_range=areas)


_classifier = {
    **_train(_crop(128, 0.5, 1.0), _flip),
    'data_preprocessor.num_classes': 41,
    'val_dataloader.dataset': dict(_delete_=True, **_seen),
}
_ecaml = '../ecaml/ecaml_mobilenet-v2_grocery81'
runs = dict(
    metric=_run('binomial deviance', f'{_ecaml}_metric-loss.py',
                'pre_logits'),
    ecaml=_run('+ confusion (ECAML)', f'{_ecaml}.py', 'pre_logits'),
    arcface=_run('ArcFace', '../peers/grocery81_arcface.py', 'neck', **{
        **_classifier, 'model.head.num_classes': 41}),
    csdnet=_run('CSDNet', '../csdnet/grocery81.py', 'neck', **{
        **_classifier,
        'model.head.cls_head.num_classes': 41,
        'model.head.contrast.queue_len': 328}),
    dino=_run('DINO', '../peers/dino_mobilenet-v2_grocery81.py', **{
        **_train(
            dict(
                type='MultiView',
                num_views=[2, 4],
                transforms=[[_crop(128, 0.4, 1.0), _flip],
                            [_crop(64, 0.1, 0.4), _flip]])),
        'default_hooks.knn': None,
        'train_cfg.max_epochs': 6,
        'param_scheduler.1.end': 6,
        'param_scheduler.2.end': 6}))
