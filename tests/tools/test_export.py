"""The export tool, and its files in the runtimes of their users."""
import json
import re
import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer
from mmpretrain.registry import MODELS

from csd_mmpretrain import deployment
from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.deployment import (
    DeployedClassifier,
    ExportCheck,
    check_export,
    export_classifier,
    load_export,
)

QUEUE = 3000
FILES = dict(onnx='model.onnx', torchscript='model.pt',
             torch_export='model.pt2')
PLAIN = """
_base_ = [{base!r}]
model = dict(
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(_delete_=True, type='LinearClsHead', num_classes=6,
              in_channels=1280))
"""


@pytest.fixture(scope='module', autouse=True)
def runtimes():
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')


@pytest.fixture(scope='module')
def config(tiny_config, tmp_path_factory):
    """The tiny CSDNet with a queue four times as large as its model."""
    path = tmp_path_factory.mktemp('export') / 'csdnet.py'
    path.write_text(f'_base_ = [{str(tiny_config)!r}]\n'
                    'model = dict(head=dict('
                    f'contrast=dict(queue_len={QUEUE})))\n')
    return path


def save(config, seed=0):
    torch.manual_seed(seed)
    model = build_bare_model(Config.fromfile(config))
    # Untrained, its logits would be all but 0.
    for parameter in model.head.parameters():
        parameter.data.normal_()
    meta = dict(dataset_meta=dict(classes=[f'class{i}' for i in range(6)]))
    path = config.with_suffix('.pth')
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope='module')
def checkpoint(config):
    return save(config)


@pytest.fixture
def export(repo_root, monkeypatch, capsys):
    """Run the tool, and give back what it printed."""

    def run(*args):
        tool = str(repo_root / 'tools/deployment/export.py')
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args), '--debug'])
        runpy.run_path(tool, run_name='__main__')
        return capsys.readouterr().out

    return run


def metadata(path, kind):
    if kind != 'onnx':
        return json.loads(path.with_suffix('.json').read_text())
    import onnx
    entries = {x.key: x.value for x in onnx.load(str(path)).metadata_props}
    plain = ('input_dtype', 'channel_order', 'preprocessing', 'output',
             'normalised_channel_order', 'torch', 'csd_mmpretrain')
    return {key: value if key in plain else json.loads(value)
            for key, value in entries.items()}


@pytest.mark.parametrize('kind', FILES)
def test_a_file_does_what_the_inferencer_does(export, config, checkpoint,
                                              tiny_data, tmp_path, kind):
    """Its user reads an image, crops it and needs the metadata alone."""
    out = tmp_path / 'new' / FILES[kind]
    log = export(config, checkpoint, '--out', out, '--format', kind,
                 '--output', 'scores')
    assert '12 images: largest difference of the scores' in log
    assert 'same class for 12' in log

    info = metadata(out, kind)
    assert info['classes'] == [f'class{i}' for i in range(6)]
    assert info['input_shape'] == ['batch', 3, 32, 32]
    assert (info['input_dtype'], info['channel_order']) == ('uint8', 'BGR')
    assert info['mean'] == info['std'] == [127.5] * 3
    assert info['test_pipeline'][1] == dict(type='ResizeEdge', scale=40)
    assert info['test_pipeline'][2] == dict(type='CenterCrop', crop_size=32)

    import cv2
    paths = [str(path) for path in sorted(tiny_data.glob('test/*/*.png'))]
    pixels = [cv2.resize(cv2.imread(path), (40, 40))[4:36, 4:36]
              for path in paths]
    batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    inferencer = ImageClassificationInferencer(
        str(config), pretrained=str(checkpoint), device='cpu')
    expected = [result['pred_scores'] for result in inferencer(paths)]
    for size in (1, 5, 12):
        with torch.no_grad():
            found = load_export(str(out), kind)(batch[:size].contiguous())
        assert np.allclose(found, np.stack(expected[:size]), atol=1e-5)


@pytest.mark.parametrize('kind', FILES)
def test_nothing_of_the_training_is_in_a_file(export, config, checkpoint,
                                              tmp_path, kind):
    """The tensors are those of the plain classifier, and none other."""
    plain_config = tmp_path / 'plain.py'
    plain_config.write_text(PLAIN.format(base=str(config)))
    plain_checkpoint = save(plain_config)
    ours, plain = (tmp_path / name / FILES[kind] for name in ('ours', 'plain'))
    export(config, checkpoint, '--out', ours, '--format', kind)
    export(plain_config, plain_checkpoint, '--out', plain, '--format', kind)
    queue = 4 * 1280 * QUEUE
    assert checkpoint.stat().st_size > queue > 4 * plain.stat().st_size
    # SSDP's gate is a handful of nodes.
    assert abs(ours.stat().st_size - plain.stat().st_size) < 60_000
    if kind == 'onnx':
        import onnx
        found = []
        for path in (ours, plain):
            graph = onnx.load(str(path)).graph
            found.append(sorted((list(tensor.dims), tensor.data_type)
                                for tensor in graph.initializer
                                if len(tensor.dims) > 0))
            names = [tensor.name for tensor in graph.initializer]
            assert not re.search('contrast|queue', ' '.join(names))
        big = [[x for x in tensors if np.prod(x[0]) > 16]
               for tensors in found]
        assert big[0] == big[1]
    elif kind == 'torch_export':
        names = list(torch.export.load(str(ours)).state_dict)
        assert not re.search('contrast|queue', ' '.join(names))


@pytest.mark.parametrize('kind', FILES)
def test_preprocessing_outside_and_one_batch_size(export, config, checkpoint,
                                                  tmp_path, kind):
    out = tmp_path / FILES[kind]
    log = export(config, checkpoint, '--out', out, '--format', kind,
                 '--preprocessing', 'outside', '--batch-size', 5)
    assert '12 images: largest difference of the logits' in log
    assert 'same class for 12' in log
    info = metadata(out, kind)
    assert info['input_shape'] == [5, 3, 32, 32]
    assert (info['input_dtype'], info['channel_order']) == ('float32', 'RGB')


WINDOWS = dict(embed_dims=24, depths=[2, 2], num_heads=[2, 4])
TIMM = dict(type='TIMMBackbone', features_only=False)
BACKBONES = dict(
    resnet=(dict(type='ResNet', depth=18), 512, {}),
    swin=(dict(type='SwinTransformer', arch=WINDOWS, img_size=56,
               out_indices=(1, )), 48, {}),
    vit=(dict(type='VisionTransformer', arch='deit-tiny', img_size=56,
              patch_size=14, out_type='featmap'), 192, {}),
    timm=(dict(TIMM, model_name='vit_tiny_patch16_224', img_size=64,
               depth=2), 192, dict(layout='tokens', num_prefix_tokens=1)))


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones(name, tmp_path):
    backbone, channels, layout = BACKBONES[name]
    if name == 'timm':
        pytest.importorskip('timm')
    size = backbone.get('img_size', 64)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            data_preprocessor=dict(
                mean=[120, 110, 100], std=[60, 50, 40], to_rgb=True),
            backbone=backbone,
            neck=dict(type='SSDPNeck', in_channels=channels, **layout),
            head=dict(
                type='CSDHead',
                cls_head=dict(
                    type='LinearClsHead', num_classes=7,
                    in_channels=channels),
                contrast=dict(
                    type='DDLQueueLoss', feat_dim=channels, queue_len=8)))
    ).eval()
    model.head.cls_head.fc.weight.data.normal_()
    images = list(torch.randint(0, 256, (14, 3, size, size),
                                dtype=torch.uint8))
    for kind, file in FILES.items():
        path = str(tmp_path / file)
        export_classifier(
            DeployedClassifier(model), torch.stack(images[:1]), path, kind)
        check = check_export(load_export(path, kind), model, images)
        assert check.largest < 1e-4 and check.agreeing == 14, (kind, check)


@pytest.mark.parametrize('case', ['differs', 'does not run'])
@pytest.mark.parametrize('kind', ['onnx', 'torchscript'])
def test_a_bad_file_replaces_nothing(export, config, checkpoint, tmp_path,
                                     monkeypatch, kind, case):
    def fail(*args):
        raise ValueError(case)

    out = tmp_path / 'earlier' / FILES[kind]
    args = [config, checkpoint, '--out', out, '--format', kind]
    export(*args)
    names = {out.name} if kind == 'onnx' else {out.name, 'model.json'}
    earlier = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    assert set(earlier) == names
    args += ['--preprocessing', 'outside']
    check = fail if case == 'does not run' else (
        lambda *args: ExportCheck(images=8, largest=1., agreeing=8))
    monkeypatch.setattr(deployment, 'check_export', check)
    for folder in ('earlier', 'new'):
        args[3] = tmp_path / folder / FILES[kind]
        with pytest.raises((SystemExit, ValueError), match=case):
            export(*args)
    assert earlier == {
        path.name: path.read_bytes() for path in out.parent.iterdir()}
    assert not list((tmp_path / 'new').iterdir())


def small_model(head, num_classes):
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='MobileNetV2', widen_factor=0.25),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type=head, num_classes=num_classes, in_channels=1280)))


def test_scores_are_compared_with_what_the_model_predicts():
    model = small_model('MultiLabelLinearClsHead', 6)
    model.head.fc.weight.data.normal_()
    images = list(torch.rand(4, 3, 32, 32))
    right = check_export(
        lambda x: model(x).sigmoid(), model, images, scores=True)
    wrong = check_export(
        lambda x: model(x).softmax(1), model, images, scores=True)
    assert right.largest < 1e-6 and wrong.largest > 0.1


def test_a_multi_label_head_is_exported_with_logits(export, config, tmp_path):
    path = tmp_path / 'multi_label.py'
    path.write_text(PLAIN.format(base=str(config)) +
                    "model['head'].update(type='MultiLabelLinearClsHead')\n")
    args = [path, save(path), '--out', tmp_path / 'new' / 'model.onnx']
    with pytest.raises(ValueError, match='MultiLabelLinearClsHead.*logits`'):
        export(*args, '--output', 'scores')
    assert not (tmp_path / 'new').exists()
    assert 'same class for 12' in export(*args, '--output', 'logits')


def test_a_nan_differs():
    model = small_model('LinearClsHead', 3)
    images = [torch.zeros(3, 32, 32)] * 4
    check = check_export(lambda x: torch.full((len(x), 3), torch.nan), model,
                         images)
    assert check.largest == float('inf')


@pytest.mark.parametrize('case, error, message', [
    ('suffix', ValueError, 'ends in .onnx'),
    ('no onnxruntime', ImportError, 'csd_mmpretrain.deploy'),
    ('no classifier', ValueError, 'nothing to export'),
    ('several sizes', ValueError, 'several sizes'),
])
def test_errors(case, error, message, export, monkeypatch, tmp_path, config,
                checkpoint, tiny_data):
    args = ['--out', tmp_path / 'model.onnx']
    if case == 'suffix':
        args = ['--out', tmp_path / 'model.pt']
    elif case == 'no onnxruntime':
        monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    elif case == 'no classifier':
        state = torch.load(checkpoint)['state_dict']
        checkpoint = tmp_path / 'backbone.pth'
        torch.save({k: v for k, v in state.items() if 'backbone' in k},
                   checkpoint)
    elif case == 'several sizes':
        from PIL import Image
        Image.new('RGB', (80, 48)).save(tmp_path / 'wide.png')
        whole = tmp_path / 'whole.py'
        whole.write_text(
            f'_base_ = [{str(config)!r}]\n'
            "steps = [dict(type='LoadImageFromFile'), "
            "dict(type='PackInputs')]\n"
            'test_dataloader = dict(dataset=dict(pipeline=steps))\n')
        config = whole
        args = [tmp_path / 'wide.png', tiny_data / 'test', *args]
    with pytest.raises(error, match=message):
        export(config, checkpoint, *args)
