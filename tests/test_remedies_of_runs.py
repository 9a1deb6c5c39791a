"""What a training says of its data, hooks and resumes helps, too.

Cases as in test_remedies_help.py; the message may be a warning. FILE is a
checkpoint of the known classes, EMA one of a training with EMAHook, and
MIDDLE one from within an epoch.
"""
import re
import shlex

import pytest
import torch
from mmengine.logging import MMLogger
from test_remedies_help import (
    CMD,
    DISCOVERY,
    EMBEDDING,
    FROM_STAGE_ONE,
    HIDDEN,
    JEPA,
    NO_VALIDATION,
    OPTION,
    PROTOTYPES,
    RESIZED,
    VIEWS,
    StepMade,
    stage_one,  # noqa: F401
    start,
)

SCORED = EMBEDDING.replace(NO_VALIDATION.strip(), '')
TRAIN = '_base_.train_dataloader.dataset'
HALF = f"dict(_delete_=True, type='ClassSplit', dataset={TRAIN}, classes="
UNSEEN = (
    f'{SCORED}\n'
    "val_evaluator = dict(_delete_=True, type='RetrievalMetric', "
    "protocol='leave-one-out')\n"
    f"train_dataloader.update(dataset={HALF}'first-half'))\n"
    f"val_dataloader = dict(dataset={HALF}'last-half'))")
ONE_CROP = (CMD + VIEWS.replace(
    f'num_views=2, transforms={RESIZED}', 'num_views=[1, 1], transforms=['
    "[dict(type='Resize', scale=16)], [dict(type='Resize', scale=32)]]"))
STAGE_TWO = DISCOVERY.format(FROM_STAGE_ONE) + HIDDEN
PLAIN_HOOK = "custom_hooks = [dict(type='{}')]"
NO_HOOKS = r'[Rr]emove the hook from `(custom_hooks)`', '{} = []'

SMALL = (
    'model = dict(neck=dict(in_channels=16), backbone=dict(_delete_=True, {}),'
    'head=dict(cls_head=dict(in_channels=16), contrast=dict(feat_dim=16)))\n'
    'default_hooks = dict(ssdp=dict(scale=0.5))')
SWIN = ("type='SwinTransformer', arch=dict(embed_dims=8, depths=[1, 1], "
        'num_heads=[1, 1]), img_size=32, window_size=4, out_indices=(1, )')
TIMM = ("type='TIMMBackbone', model_name='vit_tiny_patch16_224', img_size=32, "
        'patch_size=8, embed_dim=16, depth=1, num_heads=1, features_only='
        'True, out_indices=(0, )')

CASES = dict(
    prefix=(
        "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', "
        "checkpoint='FILE', prefix='neck.')))",
        r'or correct `(init_cfg\.prefix)`',
        '--cfg-options model.backbone.{}=backbone.'),
    unseen=(UNSEEN, r'in the training need ClassSplit\((unseen=True)\)',
            'val_dataloader = dict(dataset=dict({}))'),
    unseen_trained=(
        f'{UNSEEN}\nval_dataloader["dataset"].update(classes="first-half", '
        'unseen=True)', r"and ClassSplit\((classes='last-half')",
        'val_dataloader = dict(dataset=dict({}))'),
    queue=('model = dict(head=dict(contrast=dict(queue_len=500)))',
           r'images, so .*\. Set (model\.\S+\.queue_len=\d+)\.', OPTION),
    teacher=(PLAIN_HOOK.format('EMATeacherHook'),
             f'`update_teacher`. {NO_HOOKS[0]}', NO_HOOKS[1]),
    jepa_teacher=(
        f"{CMD}{VIEWS}custom_hooks = [dict(type='SelfDistillationHook'), "
        "dict(type='JEPAHook')]", f'JEPAHook .*{NO_HOOKS[0]}',
        "{} = [dict(type='SelfDistillationHook')]"),
    cmd_teacher=(
        f"{JEPA}custom_hooks = [dict(type='SelfDistillationHook'), "
        "dict(type='JEPAHook')]", f'SelfDistillationHook .*{NO_HOOKS[0]}',
        "{} = [dict(type='JEPAHook')]"),
    collapse=("custom_hooks = [dict(type='CollapseCheckHook', interval=1)]",
              '(Remove) the hook, or use a model with a CMDHead',
              'custom_hooks = []  # {}'),
    frozen=("custom_hooks = [dict(type='FrozenPartsHook')]",
            'Give them with `tools/train.py CONFIG (--weights FILE)`', '{}'),
    imprint=(PLAIN_HOOK.format('ImprintHook'),
             r'\. (Use BoundedArcFaceClsHead), as in',
             'model = dict(head=dict(cls_head=dict(_delete_=True, '
             "type='BoundedArcFaceClsHead', num_classes=6, "
             'in_channels=1280)))  # {}'),
    imprint_channels=(
        PLAIN_HOOK.format('ImprintHook')
        + '\nmodel = dict(head=dict(cls_head=dict(_delete_=True, type='
        "'BoundedArcFaceClsHead', num_classes=6, in_channels=7)))",
        r'Set (in_channels=\d+) of that head',
        'model = dict(head=dict(cls_head=dict({})))'),
    in_hook=(
        "val_evaluator = dict(_delete_=True, type='RetrievalMetric', "
        "protocol='leave-one-out')\n"
        'default_hooks = dict(checkpoint=dict(save_best=None))\n'
        'train_dataloader = dict(batch_size=12)',
        r"Put it into dict\((type='KNNHook'), metrics",
        'custom_hooks = [dict({}, metrics=_base_.val_evaluator, '
        'query_dataloader=dict(batch_size=6, num_workers=0, dataset='
        "_base_.val_dataloader.dataset, sampler=dict(type='DefaultSampler')"
        "))]\nval_evaluator = dict(_delete_=True, type='Accuracy')"),
    scores=(
        SCORED, r"features alone\. Use dict\((type='RetrievalMetric', "
        r"protocol='[\w-]+')\) or",
        'val_evaluator = dict(_delete_=True, {})'),
    clusters=(
        SCORED, r"or (type='ClusteringMetric')",
        'val_evaluator = dict(_delete_=True, {})'),
    sync=("sync_bn = 'mmcv'", r"does not support\. Set (sync_bn='torch')",
          '{}'),
    knn=("custom_hooks = [dict(type='KNNHook', metrics=dict(type='Accuracy'), "
         "query_dataloader=dict(batch_size=6, num_workers=0, dataset="
         "_base_.val_dataloader.dataset, sampler=dict(type='DefaultSampler')"
         '))]',
         r"Use (dict\(type='RetrievalMetric', protocol='[\w-]+'\)) or KNN",
         "custom_hooks = _base_.custom_hooks\n"
         "custom_hooks[0]['metrics'] = {}"),
    global_crops=(
        f"{ONE_CROP}custom_hooks = [dict(type='SelfDistillationHook')]",
        '(Put) the global crops first in MultiView',
        VIEWS.replace('num_views=2', 'num_views=[2, 1]').replace(
            RESIZED, f'{RESIZED} * 2') + '# {}'),
    one_view=(
        f"{JEPA}{VIEWS}{PLAIN_HOOK.format('JEPAHook')}",
        '(Remove) MultiView from it',
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type="
        "'LoadImageFromFile'), dict(type='Resize', scale=32), "
        "dict(type='PackInputs')]))  # {}"),
    many_views=(
        f"{STAGE_TWO}train_dataloader['dataset']['dataset'] = dict("
        f"type='CustomDataset', data_root={TRAIN}['data_root'], pipeline=["
        "dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), "
        "dict(type='PackInputs')])",
        r"predicts what another.*Use (dict\(type='MultiView', num_views=2, "
        r"transforms=)\[\.\.\.\]\) and (collate_fn=dict\(type="
        r"'default_collate'\))",
        'train_dataloader = dict({1}, dataset=dict(dataset=dict(pipeline=['
        f"dict(type='LoadImageFromFile'), {{0}}{RESIZED}), "
        "dict(type='PackInputs')])))"),
    batch=(STAGE_TWO, r'Raise (train_dataloader\.batch_size) to (\d+)',
           '--cfg-options {}={}'),
    no_clusters=(STAGE_TWO.replace('num_novel=3', 'num_novel=0'),
                 'Give an NCDHead with (num_novel), the number',
                 'model = dict(head=dict({}=3))'),
    stage_one_classes=(
        STAGE_TWO.replace('num_known=3', 'num_known=2')
        + "train_dataloader['dataset'].update(known=[0, 2])",
        r'or correct (model\.head\.num_known)\.',
        '{}=3 train_dataloader.dataset.known=even'.join(
            ['--cfg-options ', ''])),
    absent_classes=(
        PROTOTYPES.format(1280, 3).replace('num_classes=6', 'num_classes=7'),
        "lower the head's (num_classes)", 'model = dict(head=dict({}=6))'),
    averaged=(
        PROTOTYPES.format(1280, 3)
        + "\ncustom_hooks = [dict(type='EMAHook')]",
        r'no training patches\. (Remove it) from the hooks',
        'custom_hooks = []  # {}'),
    other_classes=(
        STAGE_TWO + "train_dataloader['dataset'].update(known='odd')",
        'Give both stages the same `(known)` classes in the same order',
        "train_dataloader = dict(dataset=dict({}='even'))"),
    too_many=('model = dict(head=dict(cls_head=dict(num_classes=7)))',
              r'Set (num_classes) of the head to (\d+), if no others',
              'model = dict(head=dict(cls_head=dict({}={})))'),
    two_steps=(
        'optim_wrapper = dict(accumulative_counts=2)\n'
        'default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1, '
        'save_best=None))',
        r'Save at multiples of `optim_wrapper\.(accumulative_counts)` steps',
        'default_hooks = dict(checkpoint=dict(interval=2))  # {}'),
    swin=(SMALL.format(SWIN),
          r'(pad_small_map=True) for a Swin', 'model = dict(backbone='
          'dict({}))'),
    swin_scale=(SMALL.format(SWIN), 'or (a larger scale)',
                'default_hooks = dict(ssdp=dict(scale=1))  # {}'),
    timm=(SMALL.format(TIMM), r'Set (dynamic_img_size=True) for a ViT of',
          'model = dict(backbone=dict({}))'),
    rate=('optim_wrapper = dict(optimizer=dict(lr=1e18))\n'
          'param_scheduler = []',
          r'Look at the images, lower (optim_wrapper\.optimizer\.lr), set',
          '--cfg-options {}=1e-3'),
    ema=("load_from = 'EMA'\nresume = True",
         r"add (dict\(type='EMAHook'\)) to (custom_hooks)", '{1} = [{0}]'),
    other_model=(
        "load_from = 'FILE'\nresume = True",
        r'from its weights \((load_from) without (resume)\)',
        '{1} = False  # {0}'),
    batches=(
        "load_from = 'MIDDLE'\nresume = True\n"
        'train_dataloader = dict(batch_sampler=None)',
        r"Add train_dataloader\.(batch_sampler=dict\(type="
        r"'SeededBatchSampler')\)",
        'train_dataloader = dict({}, _delete_=True))'),
)


@pytest.fixture(scope='module')
def files(stage_one, tiny_config, tmp_path_factory):  # noqa: F811
    """The files that cases name."""
    folder = tmp_path_factory.mktemp('files')
    lines = (f'_base_ = {str(tiny_config)!r}\n'
             "custom_hooks = [dict(type='EMAHook')]\n"
             'default_hooks = dict(checkpoint=dict(by_epoch=False, '
             'interval=1, save_best=None))')
    with pytest.raises(StepMade):
        start(folder / 'ema.py', lines, folder / 'ema', steps=2)
    ema = (folder / 'ema/iter_1.pth')
    middle = folder / 'middle.pth'
    content = torch.load(ema)
    content['state_dict'] = {
        name.removeprefix('module.'): value
        for name, value in content.pop('ema_state_dict').items()
        if name != 'steps'}
    torch.save(content, middle)
    content = dict(torch.load(stage_one), meta=dict(dataset_meta=dict(
        classes=['class0', 'class2', 'class4'])))
    stage_one = (folder / 'stage_one.pth').as_posix()
    torch.save(content, stage_one)
    return dict(FILE=stage_one, EMA=ema.as_posix(), MIDDLE=middle.as_posix())


@pytest.mark.parametrize('fault, message, remedy', CASES.values(), ids=CASES)
def test_the_remedy_helps(fault, message, remedy, tiny_config, files,
                          tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(MMLogger, 'callHandlers', lambda _, record: (
        record.levelname == 'WARNING' and heard.append(record.getMessage())))

    def run(name, lines, *args):
        heard.clear()
        try:
            start(tmp_path / f'{name}.py', lines, tmp_path / name, *args,
                  log_level='WARNING', steps=3)
        except StepMade:
            return ' '.join(heard), True
        except (FloatingPointError, KeyError, OSError, RuntimeError, TypeError,
                ValueError) as error:
            return f'{" ".join(heard)} {error}', False

    def fill(text):
        return re.sub(r'\b(FILE|EMA|MIDDLE)\b', lambda name: files[
            name.group()], text)

    said, _ = run('wrong', f'_base_ = {str(tiny_config)!r}\n{fill(fault)}')
    found = re.search(message, said)
    assert found, said
    written = fill(remedy.format(*found.groups()))
    args = shlex.split(written) if written.startswith('--') else []
    said, made = run('right', f'_base_ = {str(tmp_path / "wrong.py")!r}\n'
                     + written * (not args), *args)
    assert made and not re.search(message, said), said
