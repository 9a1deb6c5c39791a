"""Blend of ArcFace's class weights with the photos' class means, at test.

python scratch_blend.py OUT METHOD...: of trainings kept by
benchmark_accuracy.py with --keep-checkpoints.
"""
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

from mmengine.registry import init_default_scope
import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.evaluation.enroll import class_means
from csd_mmpretrain.evaluation.feature_data import labelled_images
from csd_mmpretrain.evaluation.features import collect_features
from csd_mmpretrain.utils.protocol import inference_model

init_default_scope('mmpretrain')
BLENDS = (0., .25, .5, .75, 1.)
out = Path(sys.argv[1])
for method in sys.argv[2:]:
    for run in sorted((out / method).glob('seed*_split*')):
        found = list(run.glob('*epoch_24.pth'))
        if not found:
            continue
        cfg = Config.fromfile(next(iter(sorted(run.glob('*.py')))))
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
        model.load_state_dict(torch.load(found[0], weights_only=False)['state_dict'])
        train = collect_features(model, labelled_images(cfg, 'train').loader, 'pre_logits')
        val = collect_features(model, Runner.build_dataloader(cfg.val_dataloader), 'pre_logits')
        x = F.normalize(val.features)
        w = inference_model(model.head).norm_product.weight
        w, m = x @ F.normalize(w).t(), x @ class_means(train, 81).t()
        print(method, run.name, *(f'{100 * (((1 - b) * w + b * m).argmax(1) == val.labels).float().mean():.2f}' for b in BLENDS), flush=True)
