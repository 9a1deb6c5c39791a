"""ECAML on Grocery81 with a triplet loss of pytorch-metric-learning."""
_base_ = './ecaml_mobilenet-v2_grocery81.py'

model = dict(
    head=dict(
        metric=dict(
            _delete_=True,
            type='MetricLearningLoss',
            loss=dict(type='TripletMarginLoss', margin=0.1))))
