"""Plain cross entropy on Grocery81: the baseline without label smoothing."""
_base_ = './grocery81_baseline.py'

model = dict(head=dict(loss=dict(_delete_=True, type='CrossEntropyLoss')))
