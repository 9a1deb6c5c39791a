"""ArcFace on SoyGene, with larger margins for rare classes."""
_base_ = [
    '../_base_/models/swin-base_448.py',
    '../_base_/datasets/soygene_bs12_448.py',
    '../_base_/schedules/adamw_bs12_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        _delete_=True,
        type='BoundedArcFaceClsHead',
        num_classes=1110,
        in_channels=1024,
        scale=16.0,
        margins=0.2,
        loss=dict(type='CrossEntropyLoss')))

# margin_min for the largest class, margin_max for the smallest.
custom_hooks = [
    dict(type='SetAdaptiveMarginsHook', margin_min=0.1, margin_max=0.3),
]

val_evaluator = test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='SingleLabelMetric', items=('f1-score', )),  # macro
]

optim_wrapper = dict(optimizer=dict(lr=2e-3 * 12 / 512))
