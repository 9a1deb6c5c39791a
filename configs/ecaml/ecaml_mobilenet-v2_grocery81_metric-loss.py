"""The metric loss alone on Grocery81: ECAML without its confusion term."""
_base_ = './ecaml_mobilenet-v2_grocery81.py'

model = dict(head=dict(confusion=None))
