"""Timm's vision transformers under mmpretrain's names."""
import pytest
import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.checkpoints.vit_weights import convert_vit


def test_the_class_token_is_the_same(tmp_path, repo_root, run_python):
    timm = pytest.importorskip('timm')
    theirs = timm.create_model(
        'vit_tiny_patch16_224', img_size=64, num_classes=5).eval()
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.05)
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    log = run_python(
        repo_root / 'tools/model_converters/vit_to_mmpretrain.py',
        tmp_path / 'timm.pth', tmp_path / 'mmpretrain.pth').stdout
    ours = MODELS.build(dict(
        type='VisionTransformer', arch='deit-tiny', img_size=64,
        patch_size=16, out_type='cls_token'))
    ours.eval()
    state = torch.load(tmp_path / 'mmpretrain.pth')['state_dict']
    assert len(state) == len(theirs.state_dict()) - 2  # the head's
    assert f'mmpretrain.pth: {len(state)} tensors' in log
    ours.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            ours(images)[-1], theirs.forward_features(images)[:, 0],
            rtol=1e-4, atol=1e-5)


def test_other_files_are_refused(tmp_path):
    torch.save({'conv1.weight': torch.zeros(1)}, tmp_path / 'resnet.pth')
    with pytest.raises(ValueError, match='no plain vision transformer'):
        convert_vit(str(tmp_path / 'resnet.pth'), str(tmp_path / 'out.pth'))
    assert not (tmp_path / 'out.pth').exists()
