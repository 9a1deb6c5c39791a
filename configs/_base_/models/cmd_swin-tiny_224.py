"""CMD on Swin-T: 49 tokens of a global crop, 9 of a local one."""
model = dict(
    type='CMD',
    backbone=dict(
        type='SwinTransformer',
        arch='tiny',
        img_size=224,
        drop_path_rate=0.1,
        pad_small_map=True),  # local crops are smaller than a window
    neck=dict(type='CMDNeck', in_channels=768),
    region_neck=dict(type='CMDNeck', in_channels=768),
    head=dict(type='CMDHead'))
