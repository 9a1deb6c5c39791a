"""What messages tell a person to write helps: it is written as they say.

A case is a fault in a config (or on the command line), the message with the
parts of its remedy in brackets, and where these parts are written. Without the
remedy no step is made; with it one is.
"""
import re
import shlex

import pytest
import torch
from mmpretrain.registry import MODELS

from csd_mmpretrain.runtime.launch import launch
from csd_mmpretrain.runtime.run_options import (
    make_train_config,
    make_train_parser,
)


class StepMade(Exception):
    """Ends a training that works."""


def start(path, lines, work_dir, *args, log_level='ERROR', steps=1):
    """Train some steps of a config of some lines, as tools/train.py does."""
    path.write_text(lines)
    args = make_train_parser().parse_args(
        [str(path), '--work-dir', str(work_dir), *args])
    cfg = make_train_config(args)
    cfg.merge_from_dict(
        dict(log_level=log_level, experiment_name=work_dir.name))

    def train(runner):

        made = []

        def stop(*_, **__):
            made.append(1)
            if len(made) == steps:
                raise StepMade

        runner._hooks[0].after_train_iter = stop
        runner.train()

    launch(cfg, train)


HEAD = "model = dict(head=dict(_delete_=True, type='LinearClsHead', " \
    'num_classes=6, in_channels=1280))\n'
MIXUP = "model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.)))"
ITERATIONS = ('train_cfg = dict(_delete_=True, by_epoch=False, max_iters=3)\n'
              'param_scheduler = []')
PLAIN_NECK = ("model = dict(neck=dict(_delete_=True, "
              "type='GlobalAveragePooling'))\n"
              "default_hooks = dict(ssdp=dict(view=dict(_delete_=True, "
              "type='DiscrepancyMaskView')))\n"
              "pipeline = [dict(type='LoadImageFromFile'), "
              "dict(type='Resize', scale=64), dict(type='PackInputs')]\n"
              'train_dataloader = dict(dataset=dict(pipeline=pipeline))')
VECTORS = ("model = dict(backbone=dict(norm_eval=True), head=dict(cls_head="
           "dict(type='StackedLinearClsHead', mid_channels=[8], "
           "norm_cfg=dict(type='BN1d'))))\n"
           'train_dataloader = dict(batch_size=5, dataset=dict(indices=6))')
PROTOTYPES = (
    "model = dict(neck=None, head=dict(_delete_=True, type='STProtoPNetHead',"
    'num_classes=6, in_channels={}, num_prototypes=2, channels=8))\n'
    'default_hooks = dict(ssdp=None, checkpoint=dict(save_best=None), '
    "prototypes=dict(type='PrototypeHook', warm_epochs=1, "
    'push_epochs=(2, ), tune_epochs=1))\n'
    'train_cfg = dict(max_epochs={})')
PAIRS = (
    "model = dict(neck=dict(_delete_=True, type='GlobalAveragePooling'), "
    "head=dict(_delete_=True, type='EmbeddingHead', in_channels=1280, "
    "embed_dims=4, metric=dict(type='BinomialDevianceLoss')))\n"
    'default_hooks = dict(ssdp=None, checkpoint=dict(save_best=None))\n'
    'val_cfg = val_dataloader = val_evaluator = None\n'
    'train_dataloader = dict(batch_size=2, sampler=dict(shuffle=False))')

TINY_VIT = (
    "dict(_delete_=True, type='VisionTransformer', arch=dict(embed_dims=8, "
    'num_layers=1, num_heads=1, feedforward_channels=8), img_size=32, '
    "patch_size=8, out_type='featmap')")
RAW_VIT = TINY_VIT.replace('featmap', 'raw')
NO_VALIDATION = 'val_cfg = val_dataloader = val_evaluator = None\n'
NO_LABELS = (
    'default_hooks = dict(ssdp=None, checkpoint=dict(save_best=None))\n'
    f'{NO_VALIDATION}'
    "data_preprocessor = dict(_delete_=True, type='SelfSupDataPreprocessor', "
    'mean=[127.5] * 3, std=[127.5] * 3)\n')
PIPELINE = ("dataset=dict(pipeline=[dict(type='LoadImageFromFile'), {}"
            "dict(type='PackInputs')])")
RESIZED = "[[dict(type='Resize', scale=32)]]"
VIEWS = ("train_dataloader = dict(collate_fn=dict(type='default_collate'), "
         + PIPELINE.format("dict(type='MultiView', num_views=2, "
                           f'transforms={RESIZED}), ') + ')\n')
ONE_SIZE = PIPELINE.format("dict(type='Resize', scale=32), ")
CMD_NECK = ("dict(type='CMDNeck', in_channels=1280, num_prototypes=4, "
            'hidden_channels=8, bottleneck_channels=4)')
CMD = (NO_LABELS + "model = dict(_delete_=True, type='CMD', backbone=dict("
       f"type='MobileNetV2', widen_factor=0.25), neck={CMD_NECK}, "
       f"region_neck={CMD_NECK}, head=dict(type='CMDHead', "
       'num_prototypes=4))\n')
JEPA = (NO_LABELS + "model = dict(_delete_=True, type='JEPA', backbone=dict("
        "type='VisionTransformer', arch=dict(embed_dims=8, num_layers=2, "
        'num_heads=2, feedforward_channels=8), img_size=32, patch_size=4, '
        "out_type='raw'), neck=dict(type='JEPAPredictor', in_channels=8, "
        'embed_dims=8, depth=1, num_heads=2), '
        "target_generator=dict(type='BlockTargets', min_keep=1))\n"
        "train_dataloader = dict(collate_fn=dict(type='default_collate'), "
        f'{ONE_SIZE})\n')
STAGE_ONE = ("backbone=dict(type='MobileNetV2', widen_factor=0.25), "
             "neck=dict(type='GlobalAveragePooling')")
FROM_STAGE_ONE = ", init_cfg=dict(type='Pretrained', checkpoint='FILE')"
DISCOVERY = (
    'default_hooks = dict(ssdp=None, checkpoint=dict(save_best=None), '
    f"discovery=dict(type='NovelDiscoveryHook'))\n{NO_VALIDATION}"
    "model = dict(_delete_=True, type='NovelClassDiscovery', "
    f"{STAGE_ONE}, head=dict(type='NCDHead', num_known=3, num_novel=3, "
    'in_channels=1280, hidden_channels=8, embed_dims=4){})\n'
    "data_preprocessor = dict(type='MultiViewDataPreprocessor')\n"
    f'{VIEWS}novel = dict(_delete_=True, '
    "dataset=_base_.train_dataloader.dataset)\n")
HIDDEN = ("train_dataloader.update(dataset=dict(_delete_=True, type="
          "'NovelClasses', known='even', dataset=dict("
          "_base_.train_dataloader.dataset, "
          "**train_dataloader['dataset'])))\n")
MORE_MIXUP = MIXUP.replace('model = dict(', 'model.update(')
EMBEDDING = PAIRS.replace(
    'batch_size=2, sampler=dict(shuffle=False)',
    "batch_size=4, sampler=dict(_delete_=True, type='PKSampler', "
    'num_classes=2, num_images=2)')

OPTION, LINES = '--cfg-options {}', '{}'
CASES = dict(
    one_view=('default_hooks = dict(ssdp=None)',
              r"Add (ssdp=dict\(type='SSDPHook')\)", 'default_hooks = '
              "dict({}, view=dict(type='EraseShuffleView'), _delete_=True))"),
    no_distill=('default_hooks = dict(ssdp=None)',
                'or set `(model.head.distill=None)`', OPTION),
    mixup=(MIXUP, 'off: `(--cfg-options [^`]*)`', '{}'),
    mixup_without_labels=(MIXUP, r'or set `(model.head.contrast=None)`',
                          OPTION),
    features=('model = dict(head=dict(contrast=dict(feat_dim=7)))',
              r'channels. Set (model\.head\.contrast\.feat_dim=\d+)', OPTION),
    head=('model = dict(head=dict(cls_head=dict(in_channels=7)))',
          r'have (\d+) channels. Set `in_channels` of `cls_head`',
          '--cfg-options model.head.cls_head.in_channels={}'),
    queue_classes=(
        'model = dict(head=dict(contrast=dict(_delete_=True, type='
        "'PrototypeQueueLoss', num_classes=5, feat_dim=1280, queue_len=8)))",
        r'Set (model\.head\.contrast\.num_classes=\d+)', OPTION),
    neck=('model = dict(neck=dict(in_channels=7))',
          r'has (\d+) channels .*Set `in_channels`',
          '--cfg-options model.neck.in_channels={}'),
    classes=('model = dict(head=dict(cls_head=dict(num_classes=5)))',
             "Set (num_classes) of the model's head to the dataset's number",
             '--cfg-options model.head.cls_head.{}=6'),
    no_labels=('train_dataloader = dict(dataset=dict(with_label=False))',
               'Give the dataset (with_label=True)',
               'train_dataloader = dict(dataset=dict({}))'),
    plain_head=(HEAD, 'or set `(default_hooks.ssdp.enabled=False)`', OPTION),
    no_map=(PLAIN_NECK,
            r"needs a .*Use neck=(dict\(type='SSDPNeck', in_channels=)",
            'model = dict(neck={}1280))'),
    view=(PLAIN_NECK, 'a view without one, such as (EraseShuffleView)',
          'default_hooks = dict(ssdp=dict(view=dict(_delete_=True, '
          "type='{}')))"),
    kept_tokens=("default_hooks = dict(ssdp=dict(second_pass='kept_tokens'))",
                 "^SSDPHook: second_pass.* or (second_pass='full')",
                 'default_hooks = dict(ssdp=dict({}))'),
    recomputed=('model = dict(backbone=dict(with_cp=True))',
                "Set (norm='shared') there",
                'default_hooks = dict(ssdp=dict({}))'),
    recomputed_norm=('model = dict(backbone=dict(with_cp=True))',
                     r'freeze .* \((norm_eval=True)\)',
                     'model = dict(backbone=dict({}))'),
    no_validation=('train_cfg = dict(val_interval=0)', 'give (--no-validate)',
                   '{}'),
    no_val_loader=('train_cfg = dict(val_interval=0)',
                   'set (val_cfg), (val_dataloader) and (val_evaluator) to N',
                   '{} = {} = {} = None'),
    top_k=('val_evaluator = dict(topk=(1, 9))', r'Set (topk=\(1, \)) there',
           'val_evaluator = dict({})'),
    best=("default_hooks = dict(checkpoint=dict(save_best='top5'))",
          "to '(auto)'", '--cfg-options '
          'default_hooks.checkpoint.save_best={}'),
    no_best=("default_hooks = dict(checkpoint=dict(save_best='top5'))",
             'or to (None) for no best', '--cfg-options '
             'default_hooks.checkpoint.save_best={}'),
    iterations=(ITERATIONS, r'Set\n +(.*)\n +(.*)\nin the config',
                '{}\n{}'),
    precise_norm=("custom_hooks = [dict(type='PreciseBNHook', num_samples=6)]",
                  'Set (train_dataloader.batch_sampler=None)', OPTION),
    sampler=("train_dataloader = dict(sampler=dict(type='InfiniteSampler'))",
             r'or set (train_dataloader.batch_sampler=None) \(', OPTION),
    warm_up=("param_scheduler = [dict(type='LinearLR', start_factor=.1, "
             'end=1)]', 'a later `(end)`',
             "param_scheduler = [dict(type='LinearLR', start_factor=.1, "
             '{}=2)]'),
    no_step=('train_dataloader = dict(batch_size=60, '
             'batch_sampler=dict(drop_last=True))',
             'set (train_dataloader.batch_sampler.drop_last=False)', OPTION),
    one_image=(VECTORS, 'Set (train_dataloader.batch_sampler.drop_last=True),',
               OPTION),
    no_optimizer=("optim_wrapper = dict(_delete_=True, type='OptimWrapper')",
                  r'Add (optim_wrapper=dict\(.*\)), or', '{}'),
    float16=("optim_wrapper = dict(type='AmpOptimWrapper')", 'Give (--amp)',
             '{}'),
    no_float16=("optim_wrapper = dict(type='AmpOptimWrapper')",
                '`(--cfg-options optim_wrapper.type=OptimWrapper)`', '{}'),
    no_scale=('auto_scale_lr = None\n# --auto-scale-lr',
              r'Add (auto_scale_lr=dict\(base_batch_size=)N\)',
              '{}6, _delete_=True)'),
    sharded=("runner_type = 'FlexibleRunner'\n"
             "strategy = dict(type='BlockFSDPStrategy', blocks=['Block'])",
             'add `(--cfg-options runner_type=Runner)`', '{}'),
    push=(PROTOTYPES.format(1280, 2), r'set (train_cfg.max_epochs=\d+), or',
          OPTION),
    prototypes=(PROTOTYPES.format(7, 3),
                r'the map has \d+ channels\. Set (in_channels=\d+)\.',
                'model = dict(head=dict({}))'),
    pairs=(PAIRS, r"sampler=(dict\(type='PKSampler', num_classes=)P, "
           r'(num_images=)K\) .*(batch_size=)P',
           'train_dataloader = dict({2}4, '
           'sampler={0}2, {1}2, _delete_=True))'),
    cmd_hook=(CMD + VIEWS, r"Add to the config: (custom_hooks=\[dict\(type="
              r"'SelfDistillationHook'\)\])", '{}'),
    cmd_views=(
        f'{CMD}train_dataloader = dict({ONE_SIZE})\n'
        "custom_hooks = [dict(type='SelfDistillationHook')]",
        r"Use (dict\(type='MultiView', num_views=\[2, 8\], transforms=)"
        r"\[\.\.\.\]\) and (collate_fn=dict\(type='default_collate'\))",
        "train_dataloader = dict({1}, dataset=dict(pipeline=[dict("
        f"type='LoadImageFromFile'), {{0}}{RESIZED} * 2), "
        "dict(type='PackInputs')]))"),
    jepa_hook=(JEPA, r"Add (dict\(type='JEPAHook'\)) to `(custom_hooks)`",
               '{1} = [{0}]'),
    discovery_start=(
        DISCOVERY.format('') + HIDDEN,
        '`(--cfg-options model.init_cfg.type=Pretrained '
        'model.init_cfg.checkpoint=FILE)`', '{}'),
    discovery_labels=(
        DISCOVERY.format(FROM_STAGE_ONE)
        + "model['train_cfg'] = dict(augments=dict(type='Mixup', alpha=1.))\n"
        + HIDDEN, 'off: `(--cfg-options [^`]*)`', '{}'),
    discovery_hidden=(
        DISCOVERY.format(FROM_STAGE_ONE),
        r"Give (train_dataloader\.dataset=dict\(type='NovelClasses', known=)"
        r'\.\.\., (dataset=)', 'known = _base_.train_dataloader.dataset\n'
        "train_dataloader = dict(dataset=dict(_delete_=True, "
        "type='NovelClasses', known='even', {1}known))"),
    mixed_pairs=(
        f'{EMBEDDING}\n{MORE_MIXUP}', 'off: `(--cfg-options [^`]*)`', '{}'),
    mixed_prototypes=(
        f'{PROTOTYPES}\n{MORE_MIXUP}'.format(1280, 3),
        'off: `(--cfg-options [^`]*)`', '{}'),
    stages=(
        PROTOTYPES.format(1280, 3).replace(
            'max_epochs=3', '_delete_=True, by_epoch=False, max_iters=9')
        + '\nlog_processor = dict(by_epoch=False)\nparam_scheduler = []\n'
        'default_hooks.update(logger=dict(log_metric_by_epoch=False))\n',
        r'Set (train_cfg=dict\(by_epoch=True, max_epochs=)\.\.\.\)',
        '{}3, _delete_=True)\nlog_processor = dict(by_epoch=True)'),
    wrapped=(HEAD, r"Wrap it: head=(dict\(type='CSDHead', cls_head=)\.\.\.",
             "model = dict(head={}dict(type='LinearClsHead', num_classes=6, "
             "in_channels=1280), _delete_=True))"),
    no_images=("train_dataloader = dict(_delete_=True, batch_size=60, "
               "drop_last=True, num_workers=0, "
               "dataset=_base_.train_dataloader.dataset, "
               "sampler=dict(type='DefaultSampler', shuffle=True))",
               r'set (drop_last=False)', 'train_dataloader = dict({})'),
    weights=("model = dict(backbone=dict(init_cfg=dict(type='Pretrained', "
             "checkpoint='none.pth')))",
             '`(--weights FILE)` of tools/train.py', '{}'),
    weights_option=(
        "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', "
        "checkpoint='none.pth', prefix='backbone.')))",
        '`(--cfg-options model.backbone.init_cfg.checkpoint=FILE)`', '{}'),
    prefix_tokens=(
        f'model = dict(backbone={RAW_VIT}, neck=dict(in_channels=8, '
        "layout='tokens'), head="
        'dict(cls_head=dict(in_channels=8), contrast=dict(feat_dim=8)))',
        r'Set (num_prefix_tokens=\d+)\.', 'model = dict(neck=dict({}))'),
)


@pytest.fixture(scope='module')
def stage_one(tmp_path_factory):
    """A checkpoint of the known classes, for what asks for a FILE."""
    path = tmp_path_factory.mktemp('stage_one') / 'epoch_2.pth'
    model = MODELS.build(eval(
        f"dict(type='ImageClassifier', {STAGE_ONE}, "
        "head=dict(type='NCDHead', num_known=3, in_channels=1280))"))
    torch.save(dict(state_dict=model.state_dict()), path)
    return path.as_posix()


@pytest.mark.parametrize('fault, message, remedy', CASES.values(), ids=CASES)
def test_the_remedy_helps(fault, message, remedy, tiny_config, stage_one,
                          tmp_path):
    base = f'_base_ = {str(tiny_config)!r}\n'
    fault = fault.replace('FILE', stage_one)
    args = re.findall('(--.*)', fault)
    wrong = tmp_path / 'wrong.py'
    with pytest.raises((OSError, RuntimeError, TypeError, ValueError)
                       ) as error:
        start(wrong, base + fault, tmp_path / 'wrong', *args)
    found = re.search(message, str(error.value))
    assert found, error.value
    written = remedy.format(*found.groups()).replace('FILE', stage_one)
    lines = f'_base_ = {str(wrong)!r}\n'
    if written.startswith('--'):
        args += shlex.split(written)
    else:
        lines += written
    with pytest.raises(StepMade):
        start(tmp_path / 'right.py', lines, tmp_path / 'right', *args)
