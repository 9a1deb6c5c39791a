"""ST-ProtoPNet: ResNet-50 (ImageNet-1K weights) and its full form."""
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet',
        depth=50,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth',  # noqa: E501
            prefix='backbone.')),
    head=dict(
        type='STProtoPNetHead',
        in_channels=2048,
        num_prototypes=5,
        channels=64,
        form='full'))
