"""CMD without the term across levels: DINO and L_R."""
_base_ = './cmd_mobilenet-v2_grocery81.py'

model = dict(head=dict(inter_weight=0.))
