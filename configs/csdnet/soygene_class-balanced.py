"""CSDNet on SoyGene; a training epoch has rare classes twice.

Classes of at most eight images (36 of 1110) are repeated: those whose fraction
of the images is below oversample_thr.
"""
_base_ = './soygene.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ClassBalancedDataset',
        oversample_thr=8.5 / 12763,
        dataset=_base_.train_dataloader.dataset))

val_evaluator = test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='SingleLabelMetric', items=('f1-score', )),  # macro
]
