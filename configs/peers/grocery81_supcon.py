"""Two views with a supervised contrastive loss (SupCon) on Grocery81."""
_base_ = './grocery81_two-views.py'

model = dict(
    head=dict(
        contrast=dict(
            _delete_=True,
            type='MetricLearningLoss',
            loss=dict(type='SupConLoss', temperature=0.1),
            loss_weight=1.0)))
