_base_ = './grocery81_one-view.py'
custom_imports = dict(imports=['scratch_controls'], allow_failed_imports=False)
default_hooks = dict(progress=dict(type='ProgressHook'))
