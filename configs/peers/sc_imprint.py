_base_ = './grocery81_arcface-imprint.py'
custom_imports = dict(imports=['scratch_controls'], allow_failed_imports=False)
