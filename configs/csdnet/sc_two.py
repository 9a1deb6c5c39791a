_base_ = './grocery81_arcface-head.py'
custom_imports = dict(imports=['scratch_attempts'], allow_failed_imports=False)
