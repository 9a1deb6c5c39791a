"""CSDNet on Cotton80 with a ViT-B/16: the second pass at half the tokens."""
_base_ = './cotton80_vit-b16.py'

default_hooks = dict(
    ssdp=dict(
        second_pass='kept_tokens', view=dict(threshold=('quantile', 0.5))))
