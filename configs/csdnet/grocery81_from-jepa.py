"""CSDNet on Grocery81, from the small ViT that DSeq-JEPA has trained on it.

Made by tools/model_converters/export_backbone.py.
"""
_base_ = [
    '../_base_/models/csdnet_mobilenet-v2_224.py',
    '../_base_/datasets/grocery81_bs32_96.py',
    '../_base_/schedules/adamw_bs16_10e.py',
]

max_epochs = 40

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch=dict(
            embed_dims=96,
            num_layers=3,
            num_heads=3,
            feedforward_channels=384),
        img_size=96,
        patch_size=12,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/dseq-jepa_vit-tiny_grocery81/backbone.pth',
            prefix='backbone.')),
    neck=dict(in_channels=96),
    head=dict(
        cls_head=dict(in_channels=96, num_classes=81),
        contrast=dict(feat_dim=96, queue_len=648)))

param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs),
]
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=max_epochs)
