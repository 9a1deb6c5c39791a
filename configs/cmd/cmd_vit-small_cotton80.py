"""CMD on ViT-S/16: the class token is the image, the patches are the bag."""
_base_ = './cmd_swin-tiny_cotton80.py'

neck = dict(in_channels=384)
model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='raw'),
    neck=neck,
    region_neck=neck,
    layout='tokens',
    num_prefix_tokens=1)
