"""CSDNet on Cotton80: second views of half the height and width."""
_base_ = './cotton80.py'

default_hooks = dict(ssdp=dict(scale=0.5))
