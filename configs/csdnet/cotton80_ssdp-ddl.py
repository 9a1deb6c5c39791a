"""Ablation on Cotton80: the baseline with SSDP and DDL."""
_base_ = './cotton80.py'

model = dict(head=dict(distill=None))
