"""Stage 1 of Cr-KD on Stanford Cars: 98 known models."""
_base_ = [
    '../_base_/models/crkd_vit-base_224.py',
    '../_base_/schedules/crkd_bs512_50e.py',
    '../_base_/datasets/novel_bs512_224.py',
    '../_base_/datasets/ssb_stanford-cars.py',
]

train_photos = dict(**_base_.photos, split='train')
test_photos = dict(
    **_base_.photos, split='test', pipeline=_base_.test_pipeline)

model = dict(head=dict(num_known=_base_.num_known))

train_dataloader = dict(
    dataset=dict(
        type='ClassSplit',
        classes=_base_.known,
        dataset=dict(**train_photos, pipeline=_base_.train_pipeline)))
val_dataloader = dict(
    dataset=dict(type='ClassSplit', classes=_base_.known, dataset=test_photos))
test_dataloader = val_dataloader

# The final norm stays fixed, too, which `frozen_stages` leaves out.
default_hooks = dict(
    frozen_parts=dict(type='FrozenPartsHook', parts=['backbone.ln1']))
find_unused_parameters = True
