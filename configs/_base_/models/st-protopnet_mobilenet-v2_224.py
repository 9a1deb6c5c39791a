"""ST-ProtoPNet: MobileNetV2 (ImageNet-1K weights) and its full form."""
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='MobileNetV2',
        widen_factor=1.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',  # noqa: E501
            prefix='backbone.')),
    head=dict(
        type='STProtoPNetHead', in_channels=1280, num_prototypes=3,
        form='full'))
