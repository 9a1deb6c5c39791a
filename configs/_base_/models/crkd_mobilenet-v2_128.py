"""Stage 1 of Cr-KD with a MobileNetV2, whose last stages train, for a CPU."""
_base_ = './mobilenet-v2_224.py'

model = dict(
    backbone=dict(frozen_stages=6, norm_eval=True),
    head=dict(_delete_=True, type='NCDHead', in_channels=1280))
