"""Normalization of images, and of several views of each."""
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS


@MODELS.register_module()
class MultiViewDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's preprocessing of a classifier, also for ``MultiView``.

    Views, a list of batches, stay a list, and images may lack a label. A
    single view is preprocessed as by ``ClsDataPreprocessor``.

    Args:
        *args: See ``ClsDataPreprocessor``.
        **kwargs: See ``ClsDataPreprocessor``.

    Example:
        >>> data_preprocessor = dict(
        ...     type='MultiViewDataPreprocessor', mean=[127.5] * 3,
        ...     std=[127.5] * 3, to_rgb=True)
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        views = data['inputs']
        if isinstance(views, torch.Tensor) or views[0].dim() != 4:
            return super().forward(data, training)
        samples = data.get('data_samples') or []
        labelled = [sample for sample in samples if 'gt_label' in sample]
        # It moves the labels of these samples to the device, in place.
        first = super().forward(
            dict(inputs=views[0], data_samples=labelled or None), training)
        others = [super(MultiViewDataPreprocessor, self).forward(
            dict(inputs=view), training) for view in views[1:]]
        return dict(
            inputs=[out['inputs'] for out in (first, *others)],
            data_samples=samples)
