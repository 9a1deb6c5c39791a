"""Stage 1 of Cr-KD on SoyLocal: 100 known cultivars."""
_base_ = [
    '../_base_/models/crkd_vit-base_224.py',
    '../_base_/schedules/crkd_bs512_50e.py',
    '../_base_/datasets/novel_bs512_224.py',
]

known = 'first-half'
num_known = 100
num_novel = 100
photos = dict(
    type='SoyLocal', data_root='{{$CSD_DATA_ROOT:data}}/soybean200')
train_photos = dict(**photos, split='train')
test_photos = dict(
    **photos, split='test', pipeline=_base_.test_pipeline)

model = dict(head=dict(num_known=num_known))

train_dataloader = dict(
    batch_size=100,
    dataset=dict(
        type='ClassSplit',
        classes=known,
        dataset=dict(**train_photos, pipeline=_base_.train_pipeline)))
val_dataloader = dict(
    dataset=dict(type='ClassSplit', classes=known, dataset=test_photos))
test_dataloader = val_dataloader

auto_scale_lr = dict(base_batch_size=100)

# The final norm stays fixed, too, which `frozen_stages` leaves out.
default_hooks = dict(
    frozen_parts=dict(type='FrozenPartsHook', parts=['backbone.ln1']))
find_unused_parameters = True
