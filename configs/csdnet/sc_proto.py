_base_ = './grocery81_one-view_prototypes.py'
custom_imports = dict(imports=['scratch_attempts'], allow_failed_imports=False)
default_hooks = dict(progress=dict(type='ProgressHook'))
