"""CSDNet on Cotton80 at speed: bfloat16, and AdamW as one kernel."""
_base_ = './cotton80.py'

optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(fused=True))
