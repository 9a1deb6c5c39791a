"""What docs/imbalance.md and the configs with it say, in real trainings."""
import re

import pytest

BALANCED = """
train_dataloader = dict(dataset=dict(
    _delete_=True, type='ClassBalancedDataset', oversample_thr=0.1,
    dataset=_base_.train_dataloader.dataset))
val_evaluator = test_evaluator = [
    dict(type='Accuracy', topk=(1, 2)),
    dict(type='SingleLabelMetric', items=('precision', 'f1-score'))]
default_hooks = dict(checkpoint=dict(save_best='single-label/f1-score'))
"""
MARGINS = """
model = dict(
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(
        _delete_=True, type='BoundedArcFaceClsHead', num_classes=6,
        in_channels=1280, scale=16.0, margins=0.2,
        loss=dict(type='CrossEntropyLoss')))
custom_hooks = [
    dict(type='SetAdaptiveMarginsHook', margin_min=0.1, margin_max=0.3)]
default_hooks = dict(ssdp=None)
"""
STOPPING = """
train_cfg = dict(max_epochs=9)
custom_hooks = [dict(
    type='EarlyStoppingHook', monitor='accuracy/top1', rule='greater',
    min_delta=101, patience=2)]
"""


@pytest.mark.parametrize('changes, told', [
    (BALANCED, [r'21 images', r'Epoch\(train\) \[2\]\[4/4\]',
                r'best checkpoint with [\d.]+ single-label/f1-score']),
    (MARGINS, [r'Epoch\(train\) \[2\]\[4/4\]']),
    (STOPPING, ['did not improve in the last 2 records',
                r'Saving checkpoint at 3 epochs$']),
])
def test_trainings(run_python, repo_root, tiny_config, tiny_data, tmp_path,
                   changes, told):
    """Of the last class one image of four is left, so there are 21."""
    lines = [f'class{label}/{i}.png {label}' for label in range(6)
             for i in range(1 if label == 5 else 4)]
    (tmp_path / 'train.txt').write_text('\n'.join(lines))
    base = tmp_path / 'rare.py'
    base.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        'train_dataloader = dict(dataset=dict(\n'
        f'    ann_file={str(tmp_path / "train.txt")!r},\n'
        '    classes=[f"class{i}" for i in range(6)]))\n')
    config = tmp_path / 'changed.py'
    config.write_text(f'_base_ = {str(base)!r}\n{changes}')
    log = run_python(repo_root / 'tools/train.py', config, '--work-dir',
                     tmp_path / 'run').stdout
    for pattern in told:
        assert re.search(pattern, log, re.M), (pattern, log[-3000:])
    assert 'Saving checkpoint at 4 epochs' not in log
