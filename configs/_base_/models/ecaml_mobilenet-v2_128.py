"""ECAML with a MobileNetV2, of which the last stages train, for a CPU."""
_base_ = './mobilenet-v2_224.py'

model = dict(
    backbone=dict(frozen_stages=6, norm_eval=True),
    head=dict(
        _delete_=True,
        type='EmbeddingHead',
        in_channels=1280,
        embed_dims=512,
        metric=dict(type='BinomialDevianceLoss'),
        confusion=dict(
            type='EnergyConfusionLoss',
            loss_weight=0.13,
            random_num=10,
            row_norm_weight=0.5)))
find_unused_parameters = True  # with several processes: the frozen stages
