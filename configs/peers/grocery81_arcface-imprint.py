"""ArcFace on Grocery81 whose class weights start from the photos."""
_base_ = './grocery81_arcface.py'

default_hooks = dict(imprint=dict(type='ImprintHook'))
