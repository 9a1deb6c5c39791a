"""CSDNet on Cotton80 with timm's DINOv2 ViT-B/14 with registers."""
_base_ = './cotton80.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='vit_base_patch14_reg4_dinov2',
        pretrained=True,
        img_size=448,
        drop_path_rate=0.1),
    neck=dict(layout='tokens', num_prefix_tokens=5, in_channels=768),
    head=dict(cls_head=dict(in_channels=768), contrast=dict(feat_dim=768)))
