"""Ablation on Cotton80: the baseline with SSDP."""
_base_ = './cotton80.py'

model = dict(head=dict(contrast=None, distill=None))
