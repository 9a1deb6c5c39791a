"""CSDNet on Cotton80 with a ViT-B/16 (ImageNet-21K weights)."""
_base_ = './cotton80.py'

# As the weights were trained.
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3)

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='b',
        img_size=448,
        patch_size=16,
        out_type='featmap',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vit/finetune/vit-base-p16_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-98e8652b.pth',  # noqa: E501
            prefix='backbone.')),
    neck=dict(in_channels=768),
    head=dict(cls_head=dict(in_channels=768), contrast=dict(feat_dim=768)))
