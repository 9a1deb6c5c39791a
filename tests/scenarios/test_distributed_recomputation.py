"""Gradient checkpointing with two views: what is refused, and what is not."""
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.registry import MODEL_WRAPPERS
from mmpretrain.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader

from csd_mmpretrain.hooks.setup_check_hook import SetupCheckHook
from csd_mmpretrain.methods.cmd.cmd import CMD
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook

RESNET = dict(
    type='ResNet',
    depth=18,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1, ),
    stem_channels=8,
    base_channels=8)
STATIC = dict(static_graph=True, broadcast_buffers=False)


@MODEL_WRAPPERS.register_module()
class PretendedDDP(nn.DataParallel):
    """A wrapper with DDP's settings, in one process."""

    def __init__(self, module, static_graph=False, broadcast_buffers=True):
        super().__init__(module)
        self.static_graph = static_graph
        self.broadcast_buffers = broadcast_buffers


def make_model(**backbone):
    return nn.ModuleDict(
        dict(backbone=MODELS.build(dict(RESNET, **backbone))))


def check(model, modules=None, wrapper=None, norm='shared', enabled=True):
    """The hook as it meets the model, before the first step."""
    model.backbone = model['backbone']
    if wrapper is not None:
        model = PretendedDDP(model, **wrapper)
    SetupCheckHook().before_train(
        SimpleNamespace(
            model=model,
            train_dataloader=DataLoader(range(3)),
            val_loop=None,
            param_schedulers=None,
            hooks=[SetupCheckHook(), SSDPHook(norm=norm, enabled=enabled)],
            cfg=Config(dict(activation_checkpointing=modules))))


@pytest.mark.parametrize('wrapper', [
    dict(),
    dict(static_graph=True),
    dict(broadcast_buffers=False),
])
@pytest.mark.parametrize('options, modules, named', [
    (dict(with_cp=True), None, '(backbone, backbone.layer1.0 and 3 more)'),
    (dict(), ['backbone.layer1'], '(backbone.layer1)'),
    (dict(), 'backbone.layer2', '(backbone.layer2)'),
])
def test_ranks_need_the_settings(wrapper, options, modules, named):
    with pytest.raises(ValueError) as error:
        check(make_model(**options), modules, wrapper)
    for text in (named, 'static_graph=True, broadcast_buffers=False',
                 "type='MMDistributedDataParallel'"):
        assert text in str(error.value)
    check(make_model(**options), modules, STATIC)
    check(make_model(**options), modules)
    check(make_model(**options), modules, wrapper, enabled=False)


def test_cmd_runs_its_backbone_several_times_too():
    model = CMD.__new__(CMD)
    nn.Module.__init__(model)
    model.num_global_crops = 2
    model.backbone = make_model(with_cp=True)['backbone']
    runner = SimpleNamespace(
        model=PretendedDDP(model), train_dataloader=DataLoader(range(3)),
        val_loop=None,
        param_schedulers=None, hooks=[], cfg=Config(dict()))
    with pytest.raises(ValueError, match='runs more than once a step'):
        SetupCheckHook().before_train(runner)
    runner.model = PretendedDDP(model, **STATIC)
    SetupCheckHook().before_train(runner)


def test_timm_is_seen():
    model = nn.ModuleDict(
        dict(
            backbone=MODELS.build(
                dict(
                    type='TIMMBackbone',
                    model_name='vit_tiny_patch16_224',
                    depth=1))))
    check(model, wrapper=dict())
    model['backbone'].timm_model.set_grad_checkpointing()
    with pytest.raises(ValueError, match='backbone.timm_model'):
        check(model, wrapper=dict())


@pytest.mark.parametrize('norm', ['batch', 'frozen'])
def test_norm_of_the_second_view_is_refused(norm):
    with pytest.raises(ValueError, match=f"norm='{norm}'.*norm_eval=True"):
        check(make_model(with_cp=True), norm=norm)
    with pytest.raises(ValueError, match=f"norm='{norm}'"):
        check(make_model(), ['backbone.layer2'], norm=norm)
    check(make_model(), norm=norm)
    check(make_model(with_cp=True))
    check(make_model(with_cp=True, norm_eval=True), norm=norm)


@pytest.mark.parametrize('name', ['backbone', 'backbone.conv1'])
def test_part_that_takes_the_images_is_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' takes the images"):
        check(make_model(), [name])
