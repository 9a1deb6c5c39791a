"""CMD whose bags weigh their patches by gated attention."""
_base_ = './cmd_swin-tiny_cotton80.py'

model = dict(aggregator=dict(type='GatedAttentionBag', in_channels=768))
