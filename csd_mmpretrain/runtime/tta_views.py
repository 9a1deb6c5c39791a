"""Views of test-time augmentation."""
from copy import deepcopy
from typing import List, Optional

from mmengine.config import Config, ConfigDict

from csd_mmpretrain.datasets.dataset_settings import (
    has_views,
    shared_pipeline,
    source_settings,
)
from csd_mmpretrain.datasets.transforms.corner_crop import PLACES
from csd_mmpretrain.utils.type_name import type_name

VIEWS = ('flip', 'five-crop', 'ten-crop')
FLIPS = [dict(type='RandomFlip', prob=prob) for prob in (1., 0.)]


def set_tta(cfg: Config, views: Optional[str] = None) -> None:
    """Let a test average the probabilities of several views of an image.

    Args:
        cfg (Config): The whole config. Its test pipeline is changed, and its
            model goes into the ``tta_model`` (``AverageClsScoreTTA`` where
            the config has none).
        views (str, optional): ``'flip'``: the image and its mirror image;
            ``'five-crop'``: crops at the center and the corners, in place
            of the pipeline's CenterCrop; ``'ten-crop'``: these and their
            mirror images. Defaults to None: the config's ``tta_pipeline``, or
            ``'flip'`` where it has none.

    Raises:
        ValueError: If crops are asked for and the pipeline has no CenterCrop,
            the datasets have different pipelines, or several views already.

    Source:
        Ten crops: Krizhevsky et al., ImageNet classification with deep
        convolutional neural networks, 2012, section 4.1.
    """
    dataset = cfg.test_dataloader.dataset
    if has_views(next(source_settings(dataset)).get('pipeline') or ()):
        raise ValueError('--tta: the config is of a test-time augmentation '
                         'already. Leave the option out, or give the config '
                         'of the training.')
    if views is not None or 'tta_pipeline' not in cfg:
        cfg.tta_pipeline = _pipeline(shared_pipeline(dataset), views or 'flip')
    cfg.setdefault('tta_model', dict(type='AverageClsScoreTTA'))
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for source in source_settings(dataset):
        source.pipeline = cfg.tta_pipeline


def _pipeline(pipeline: List[dict], views: str) -> List[dict]:
    *steps, pack = deepcopy(pipeline)
    branches = []
    if views != 'flip':
        names = [type_name(step['type']) for step in pipeline]
        if 'CenterCrop' not in names:
            raise ValueError(
                f'--tta-views {views} takes its crops in place of CenterCrop, '
                f'but the test pipeline has {", ".join(names)}. Choose flip, '
                'or write a `tta_pipeline` in the config.')
        last = len(names) - 1 - names[::-1].index('CenterCrop')
        crop = dict(type='CornerCrop', crop_size=steps[last]['crop_size'])
        branches = [[dict(crop, place=place) for place in PLACES],
                    *([step] for step in steps[last + 1:])]
        steps = steps[:last]
    if views != 'five-crop':
        branches.append(deepcopy(FLIPS))
    return [*steps, dict(type='TestTimeAug', transforms=[*branches, [pack]])]
