"""A small model of Cr-KD, and batches."""
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import csd_mmpretrain  # noqa: F401

KNOWN, NOVEL = 3, 2
BACKBONE = dict(
    type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1),
    out_indices=(1, ), stem_channels=8, base_channels=8, norm_eval=True)
HEAD = dict(type='NCDHead', num_known=KNOWN, in_channels=16)


def build(settings, path=None, seed=0):
    """A model in double precision, initialized from a file."""
    torch.manual_seed(seed)
    if path is not None:
        settings = dict(settings, init_cfg=dict(
            type='Pretrained', checkpoint=str(path)))
    model = MODELS.build(dict(
        backbone=BACKBONE, neck=dict(type='GlobalAveragePooling'),
        data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
        **settings))
    model.init_weights()
    return model.double()


def build_discovery(path, seed=1, settings=None, **head):
    head = dict(dict(HEAD, num_novel=NOVEL, hidden_channels=12, embed_dims=8),
                **head)
    return build(dict(type='NovelClassDiscovery', head=head,
                      **(settings or {})), path, seed).train()


def make_batch(size=8, hidden=(1, 2, 5, 6, 7), views=2):
    """Views and samples; hidden ones have no label."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(views, size, 3, 16, 16, generator=generator,
                        dtype=torch.float64)
    samples = [DataSample() if i in hidden else
               DataSample().set_gt_label(i % KNOWN) for i in range(size)]
    return list(images), samples
