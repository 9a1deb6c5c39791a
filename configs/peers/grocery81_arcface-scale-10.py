"""ArcFace from the photos on Grocery81, with a smaller scale."""
_base_ = './grocery81_arcface-imprint.py'

model = dict(head=dict(scale=10.0))
