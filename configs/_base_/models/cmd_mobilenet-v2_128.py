"""CMD on MobileNetV2 (ImageNet-1K weights), small enough for a CPU."""
neck = dict(
    type='CMDNeck',
    in_channels=1280,
    num_prototypes=1024,
    hidden_channels=512,
    bottleneck_channels=128)

model = dict(
    type='CMD',
    backbone=dict(
        type='MobileNetV2',
        norm_eval=True,  # ImageNet's statistics; small batches spoil them
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',  # noqa: E501
            prefix='backbone.')),
    neck=neck,
    region_neck=neck,
    head=dict(type='CMDHead', num_prototypes=1024))
