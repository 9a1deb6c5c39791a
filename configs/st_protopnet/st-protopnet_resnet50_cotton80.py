"""ST-ProtoPNet on Cotton80 at 448 px: 80 cultivars, 3 photos each."""
_base_ = [
    '../_base_/models/st-protopnet_resnet50_224.py',
    '../_base_/datasets/cotton80_bs12_448.py',
    '../_base_/schedules/st-protopnet_bs80_150e.py',
]

# As many prototypes of a class as it has photos. At 448 px the map has the
# 14 x 14 cells that are published for 224 px enlarged.
model = dict(head=dict(num_classes=80, num_prototypes=3, upsample=1))

val_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='BranchAccuracy'),
]
test_evaluator = val_evaluator
auto_scale_lr = dict(base_batch_size=12)
