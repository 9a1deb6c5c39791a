"""CSDNet on Grocery81, until four validations in a row are no better.

One of the eight training photos of each class validates, so that the test
photos choose nothing.
"""
_base_ = './grocery81.py'

held_out = list(range(7, 648, 8))
train_dataloader = dict(
    dataset=dict(indices=[i for i in range(648) if i % 8 != 7]))
val_dataloader = dict(
    dataset=dict(ann_file='meta/train.txt', indices=held_out))

model = dict(head=dict(contrast=dict(queue_len=567)))

max_epochs = 40
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
custom_hooks = [
    dict(
        type='EarlyStoppingHook',
        monitor='accuracy/top1',
        rule='greater',
        min_delta=0.5,
        patience=4),
]
