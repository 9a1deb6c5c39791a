"""CSDNet on Grocery81 in bfloat16, with AdamW as one kernel."""
_base_ = './grocery81.py'

optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(fused=True))
