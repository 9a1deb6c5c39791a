"""ECAML with a ResNet-50 (ImageNet-1K weights): a 512-d embedding."""
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet',
        depth=50,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth',  # noqa: E501
            prefix='backbone.')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='EmbeddingHead',
        in_channels=2048,
        embed_dims=512,
        metric=dict(type='BinomialDevianceLoss'),
        confusion=dict(
            type='EnergyConfusionLoss',
            loss_weight=0.13,
            random_num=10,
            row_norm_weight=0.5)))
