"""Stage 1 of Cr-KD with DINO's ViT-B/16, whose last block trains.

The file: docs/methods/crkd.md says where it comes from.
"""
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch='base',
        img_size=224,
        patch_size=16,
        out_type='cls_token',
        frozen_stages=11,
        init_cfg=dict(
            type='Pretrained', checkpoint='dino_vitbase16_mmpretrain.pth')),
    head=dict(type='NCDHead', in_channels=768))
