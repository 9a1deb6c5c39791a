"""What messages tell a person to set helps, of things that are called.

A case is a call with a gap, what in the gap fails, the message with the parts
of its remedy in brackets, and what they make of the gap.
"""
import re
import shutil

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from test_remedies import find_type

from csd_mmpretrain.benchmark.suite import (
    Cell,
    _crops,
    cell_config,
    split_images,
)
from csd_mmpretrain.datasets.synthetic_leaves import SyntheticLeaves
from csd_mmpretrain.deployment.export_files import check_format
from csd_mmpretrain.evaluation.features import _extract
from csd_mmpretrain.evaluation.photo_predictions import list_photos
from csd_mmpretrain.evaluation.retrieval import split_protocol
from csd_mmpretrain.layers.feature_map import check_layout, to_feature_map
from csd_mmpretrain.layers.token_trunk import TokenTrunk
from csd_mmpretrain.methods.csdnet.discrepancy_mask_view import (
    discrepancy_mask,
)
from csd_mmpretrain.methods.epic.disentanglement_matrix import (
    DisentanglementMatrix,
)
from csd_mmpretrain.methods.epic.fit import condition_number


class Names(dict):
    """What a call may name: the given, and what a config may."""

    def __missing__(self, name):
        found = find_type(name)
        if found is None:
            raise KeyError(name)
        return found


NAMES = Names(
    torch=torch, MODELS=MODELS, Cell=Cell, Config=Config,
    ConfigDict=ConfigDict, _crops=_crops, _extract=_extract,
    cell_config=cell_config,
    condition_number=condition_number, discrepancy_mask=discrepancy_mask,
    list_photos=list_photos, DataSample=DataSample, TokenTrunk=TokenTrunk,
    DisentanglementMatrix=DisentanglementMatrix, check_format=check_format,
    check_layout=check_layout, split_images=split_images,
    split_protocol=split_protocol, to_feature_map=to_feature_map)
VIT = ("dict(type='VisionTransformer', arch=dict(embed_dims=8, num_layers=2, "
       'num_heads=2, feedforward_channels=8), img_size=48, patch_size=8, ')
NECK = ("dict(type='CMDNeck', in_channels=8, num_prototypes=4, "
        'hidden_channels=8, bottleneck_channels=4)')
HEAD = "head=dict(type='CMDHead', num_prototypes=4"
CMD = f"CMD({VIT}out_type='featmap'), neck={NECK}, "
REGIONS = f'{CMD}region_neck={NECK}, '
JEPA = ("JEPA({}), neck=dict(type='JEPAPredictor', in_channels={}, "
        'embed_dims=8, depth=1, num_heads=2), target_generator={})')
BLOCKS = "dict(type='BlockTargets', min_keep=1)"
REGION_TARGETS = ("dict(type='RegionTargets', block={}, "
                  'blocks=dict(min_keep=1))')
RAW = "out_type='raw'"
PHOTOS = "CustomDataset(data_root='DATA')"
STAGE_TWO = ("dict(type='NovelClassDiscovery', backbone=dict("
             "type='MobileNetV2', widen_factor=0.25), neck=dict(type="
             "'GlobalAveragePooling'), head=dict(type='NCDHead', num_known=2, "
             'num_novel=2, in_channels=1280, hidden_channels=8, '
             "embed_dims=4), init_cfg=dict(type='Pretrained', "
             "checkpoint='STAGE_ONE'))")
HEADS = 'NCDHead(num_known=2, in_channels=8, hidden_channels=8, embed_dims=4'
POOLED = ("(lambda out_type='cls_token', **settings: to_feature_map("
          f'MODELS.build({VIT}out_type=out_type))('
          'torch.rand(1, 3, 48, 48))[-1], **settings))({})')
CLASS_TOKENS = ('(lambda patch_mean=False, **settings: LastBlocksNeck(1, '
                f'patch_mean)(MODELS.build({VIT}**settings))('
                'torch.rand(2, 3, 48, 48))))({})')

CASES = dict(
    # CMD
    cmd_region_neck=(
        f'{CMD}{HEAD}), {{}})', '',
        r"Add (region_neck=dict\(type='CMDNeck', in_channels=)\.\.\.",
        '{}8, num_prototypes=4)'),
    cmd_no_regions=(
        f'{CMD}{HEAD}, {{}}))', '',
        r'\((region_weight=)[\d.]+, (inter_weight=).*both weights to (0)',
        '{0}{2}, {1}{2}'),
    cmd_unused_neck=(
        f'{CMD}{HEAD}, region_weight=0, inter_weight=0), {{}})',
        f'region_neck={NECK}', r'or (region_neck=None)', '{}'),
    cmd_use_of_neck=(
        f'{REGIONS}{HEAD}, {{}}))', 'region_weight=0, inter_weight=0',
        r'has (region_weight=)0 and inter_weight=0. Set one',
        '{}1, inter_weight=0'),
    cmd_image_weight=(
        f'{REGIONS}{HEAD}, {{}}inter_weight=0))', 'image_weight=0, ',
        r'Set (image_weight),', '{}=1, '),
    cmd_inter_target=(
        f'{REGIONS}{HEAD}, image_weight=0, {{}}))', 'inter_weight=0',
        r"or (inter_weight) with (inter_target='student')", '{}=1, {}'),
    cmd_aggregator=(
        f'{REGIONS}{HEAD}, inter_weight=0), {{}})',
        "aggregator=dict(type='GatedAttentionBag', in_channels=8)",
        r'or (aggregator=None)', '{}'),
    cmd_inter_weight=(
        f"{REGIONS}aggregator=dict(type='GatedAttentionBag', in_channels=8), "
        f'{HEAD}, {{}}))', 'inter_weight=0', r'has (inter_weight)=0. Set it',
        '{}=1'),
    cmd_prototypes=(
        f"{REGIONS}head=dict(type='CMDHead', {{}}))", 'num_prototypes=5',
        r'\.(num_prototypes=\d+), but head', '{}'),
    cmd_layout=(
        f"{CMD}{HEAD}, region_weight=0, inter_weight=0), layout='tokens', "
        '{})', 'num_prefix_tokens=3', r'Set (num_prefix_tokens=\d+)', '{}'),
    cmd_channels=(
        'CMDNeck(in_channels={}, num_prototypes=4, hidden_channels=8, '
        'bottleneck_channels=4)(torch.rand(2, 8, 4, 4))', '7',
        r'features have (\d+) channels\. Set `in_channels` to', '{}'),
    mask_area=(
        'discrepancy_mask(torch.rand(2, 2, 2), (32, 32), {})',
        'area=(0.4, 0.6)', 'Widen `(area)` of', '{}=(.2, .8)'),
    # JEPA
    jepa_tokens=(
        JEPA.format(VIT + '{}', 8, BLOCKS), "out_type='featmap'",
        r"Set model\.backbone\.(out_type='raw')", '{}'),
    jepa_channels=(
        JEPA.format(VIT + RAW, '{}', BLOCKS), '7',
        r'the backbone has \d+ channels\. Set in_channels=(\d+)', '{}'),
    jepa_class_token=(
        JEPA.format(VIT + RAW + '{}', 8, REGION_TARGETS.format(0)),
        ', with_cls_token=False', r'Set (with_cls_token=True)', ', {}'),
    jepa_block=(
        JEPA.format(VIT + RAW, 8, REGION_TARGETS), '9',
        r'The last but one is (\d+)', '{}'),
    # Cr-KD
    ncd_pooled=(
        HEADS + ').pre_logits({}((torch.rand(2, 8, 4, 4), )))', '',
        r"Add neck=dict\(type='(GlobalAveragePooling)'\)", '{}()'),
    ncd_channels=(
        'NCDHead(num_known=2, in_channels={}).pre_logits([torch.rand(2, 8)])',
        '7', r'shape \((\d+),\).* correct head.in_channels', '{}'),
    ncd_stage1=(
        HEADS + ', {}).loss([torch.rand(2, 8)], ['
        'DataSample().set_gt_label(0)] * 2)', 'num_novel=3',
        r'or (num_novel=0)', '{}'),
    # ECAML, EPIC, ST-ProtoPNet, CSDNet
    ecm_pairs=(
        'EnergyConfusionLoss({})(torch.rand(6, 4), torch.arange(6) // 2, '
        'torch.rand(3, 4))',
        "pairs='layer'", r"or (pairs='negative')", '{}'),
    ecm_number=(
        "EnergyConfusionLoss(pairs='layer', {})(torch.rand(6, 4), "
        'torch.arange(6) // 2, torch.rand(3, 4))', 'random_num=3',
        'a smaller (random_num)',
        '{}=2'),
    ecm_all=(
        'EnergyConfusionLoss({})', 'random_num=0', r'or (None) for all',
        'random_num={}'),
    matrix=(
        'DisentanglementMatrix(4, {})',
        "kind='invertible', parametrization='cayley'",
        r"Use ('exp') with (kind='invertible')", '{1}, parametrization={0}'),
    protopnet_one=(
        'STProtoPNetHead(num_classes={}, in_channels=8, channels=8, '
        'num_prototypes=2)', '1', r'num_classes=1.* Give at least (\d)\.',
        '{}'),
    protopnet_upsample=(
        "STProtoPNetHead(num_classes=2, in_channels=8, channels=8, "
        "num_prototypes=2, form='cropped', {})", 'upsample=2',
        r'leaves it as it is \((1)\)', 'upsample={}'),
    push_epochs=(
        'PrototypeHook(warm_epochs=1, push_epochs=({}), tune_epochs=1)', '',
        'Give at least (one push), none within', '2, '),
    old_slot=(
        "CSDHead(cls_head=dict(type='LinearClsHead', num_classes=2, "
        "in_channels=8), {}=None)", 'ddl', r'Write head=dict\((\w+)=', '{}'),
    gating=(
        "SSDPNeck(8, gating='none', {})", "kernel='conv'",
        r"or (kernel='gap')", '{}'),
    gating_cosine=(
        "SSDPNeck(8, gating='none', {})", "kernel='conv'",
        r"or (kernel=)'gap' or ('cosine')", '{}{}'),
    in_channels=(
        'SSDPNeck(in_channels={})((torch.rand(2, 8, 4, 4), ))', '7',
        r'has (\d+) channels .*Set `in_channels`', '{}'),
    neck_layout=(
        'SSDPNeck(8{})((torch.rand(2, 4, 4, 8), ))', '',
        r'or correct `(layout)`', ", {}='nhwc'"),
    kept_view=(
        "SSDPHook(second_pass='kept_tokens'{})", '',
        r"Set (view=dict\(type='DiscrepancyMaskView', mode='keep', "
        r"threshold=\('quantile', 0.5\)\))", ', {}'),
    kept_erase=(
        "SSDPHook(second_pass='kept_tokens', view=dict("
        "type='DiscrepancyMaskView', {}))", '',
        r"(threshold=\('quantile', 0.5\)).*, (mode='erase') with the same",
        '{}, {}'),
    kept_full=(
        'SSDPHook({})', "second_pass='kept_tokens'",
        r"^SSDPHook: second_pass.*or (second_pass='full')", '{}'),
    scale=(
        'SSDPHook(scale={})', '0.', r'more than 0 and at most (1),', '{}'),
    # Layouts of feature maps
    pooled=(
        POOLED, '', r"keeps it: `(out_type='featmap')`", '{}'),
    pooled_raw=(
        POOLED, '', r"`(out_type='raw')` with `(layout='tokens')`",
        '{}, {}, num_prefix_tokens=1'),
    four=(
        'to_feature_map(torch.rand(2, 9, 8){})', '',
        r"Set the neck's `(layout='tokens')`", ', {}'),
    tokens=(
        'to_feature_map(torch.rand(2, 8, 3, 3), {})', "layout='tokens'",
        r"`(layout)` to ('nchw')", '{}={}'),
    square=(
        "to_feature_map(torch.rand(2, 10, 8), 'tokens'{})", '',
        r'Set `(num_prefix_tokens)` to the number(?=.*\((\d+) would fit)',
        ', {}={}'),
    prefix=(
        "check_layout('SSDPNeck', {}, num_prefix_tokens=1)", "'nchw'",
        r"leading tokens of layout=('tokens')", '{}'),
    vit_blocks=(
        f'(lambda **settings: BlockMeansNeck(8, num_blocks=2)(MODELS.build('
        f'{VIT}**settings))(torch.rand(2, 3, 48, 48))))({{}})', '',
        r"Set its (out_type='featmap') and name the blocks in (out_indices)",
        '{}, {}=[0, 1]'),
    class_token=(
        CLASS_TOKENS, "out_type='featmap'",
        r"Set its `(out_type='cls_token')`", '{}'),
    class_token_raw=(
        CLASS_TOKENS, "out_type='featmap', patch_mean=True",
        r"or ('raw') for (patch_mean=True)", 'out_type={}, {}'),
    patch_mean=(
        CLASS_TOKENS, "out_type='cls_token', patch_mean=True",
        r"Set its `(out_type='raw')`", '{}, patch_mean=True'),
    trunk=(
        f'TokenTrunk(MODELS.build({VIT}{{}})))', "out_type='cls_token'",
        r"Set (out_type='featmap')", '{}'),
    trunk_blocks=(
        f"TokenTrunk(MODELS.build({VIT}out_type='featmap', {{}})))",
        'out_indices=[0, 1]', r'Set (out_indices=-1)', '{}'),
    # Data, measures, files
    split=("check_format('onnx', {})", "'model.pt'", r'ends in (\.onnx)',
           "'model{}'"),
    format=("check_format({}, 'model.pt')", "'onnx'",
            r'another format with `--format`()', "'torchscript'{}"),
    folds=('split_images([0, 0, 0, 1], num=3, split=0{})', '',
           r'`(keep_small=True)`', ', {}'),
    protocol=('split_protocol({}, 0, 4)',
              "'query-gallery'", r"choose protocol=('leave-one-out')", '{}'),
    novel_both=(
        f'NovelClasses({PHOTOS}, known=[0, 1], {{}})', 'novel=[1, 2]',
        'to `known` or to `(novel)`', '{}=[2, 3]'),
    labels=(
        f"{{}}({PHOTOS.replace(')', ', with_label=False)')})",
        '(lambda data: PKSampler(data, 2, 2))',
        'or use (DefaultSampler)', '{}'),
    box=("[step(dict(img_path='a.png', gt_label=0)) for step in [{}]]",
         'BoxCrop()', 'or (leave) BoxCrop out', ''),
    release=('Cotton80({}).load_data_list()', "'NONE'",
             r'Set (data_root), or the environment variable CSD_DATA_ROOT to',
             "{}='LEAVES'"),
    split_name=("Cotton80('LEAVES', {})", "split='none'",
                r"split='none', expected one of (\w+)", "split='{}'"),
    split_val=("Cotton80('LEAVES', {})", "split='val'",
               r"validation list; use (split='test')", '{}'),
    stage=("SoyAgeing({}, stage='R1', lazy_init=True)", "'NONE/R3'",
           'or the (parent folder) as data_root', "'NONE'"),
    drawn=('SyntheticLeaves({}, num_classes=2, train_per_class=1, '
           'test_per_class=1, image_size=32)', "'LEAVES'",
           'Give another (data_root), or delete', "{}='LEAVES/../more'"),
    clusters=('ClusteringMetric({}).check_sizes(4, 4)', '9',
              'or another (num_clusters)', '{}=2'),
    num_known=(
        '(lambda metric: (metric.process(None, [dict(gt_label=2, sample_idx=0,'
        " pred_score=torch.eye(4)[2])]), metric.evaluate(1)))("
        "ClusterAccuracy(mode='aware', {}))", 'num_known=3',
        'or another (num_known)',
        '{}=2'),
    features=(
        f'_extract({JEPA.format(VIT + RAW, 8, BLOCKS)}, '
        'torch.rand(1, 3, 48, 48), {})', "stage='neck'",
        r"Choose (stage='backbone')", '{}'),
    photos=("list_photos('{}')", 'NONE', 'Give a (folder of photos), a .txt',
            'DATA'),
    photo_table=("list_photos('{}')", 'NONE',
                 'a .csv with a (column `path`), or a', 'DATA/photos.csv'),
    small_blocks=(
        'BlockTargets({}, context_scale=(1, 1)).check_grid((5, 5))',
        'target_scale=(.1, .2)', r'are needed\. Raise (\w+), lower min_keep',
        '{}=(.8, .9)'),
    small_keep=(
        'BlockTargets(context_scale=(1, 1), {}).check_grid((5, 5))',
        'target_scale=(.2, .3)', 'lower (min_keep), or take larger images',
        '{}=1'),
    metric_learning=(
        "MetricLearningLoss(loss=dict(type='ContrastiveLoss', {}))",
        "distance=dict(type='LpDistance')",
        '(Leave it out), or register a loss of your own', ''),
    blocks=(f"LastBlocksNeck(2)(MODELS.build({VIT}out_type='raw', {{}}))("
            'torch.rand(1, 3, 48, 48)))', '',
            r'Name the blocks in its `(out_indices)`', '{}=[0, 1]'),
    plain_vit=(
        f"TokenTrunk(MODELS.build({VIT}out_type='featmap')))".replace(
            'VisionTransformer', '{}'), 'ViTEVA02',
        r'Choose one of mmpretrain \((\w+), DeiT3', '{}'),
    no_teacher=(
        f'(lambda model: (model{{}}, model.loss(['
        'torch.rand(2, 3, 32, 32)] * 2, [DataSample().set_gt_label(0), '
        f'DataSample()])))(MODELS.build({STAGE_TWO}))', '.eval()',
        r'there is no teacher\. Call (init_weights\(\)) before', '.{}'),
    orthogonal=(
        'condition_number((lambda matrix: (matrix.raw.data[0].fill_(30), '
        "matrix)"
        "[1])(DisentanglementMatrix(3, '{}')))", 'invertible',
        'or use `--kind (orthogonal)`', '{}'),
    views=("_crops(ConfigDict(train_dataloader=dict(dataset=dict(type="
           "'ConcatDataset', datasets=[dict(type='A', pipeline=[{}dict(type="
           "'PackInputs')]), dict(type='A', pipeline=[dict(type='MultiView', "
           'num_views=2)])]))))', '', r'Give them the same `(MultiView)`',
           "dict(type='{}', num_views=2), "),
    suite_splits=(
        'cell_config(Config(dict(train_cfg=dict(max_epochs=2), '
        "train_dataloader=dict(dataset=dict(type='A', pipeline=[])))), "
        '[0, 1], '
        "('a', 'b'), Cell('m', 0), {})", 'dict(num=2)',
        'or leave `(splits)` out of the suite', 'None'),
)


@pytest.fixture(scope='module')
def files(tmp_path_factory, tiny_data):
    """What cases name in capitals."""
    folder = tmp_path_factory.mktemp('files')
    data = shutil.copytree(tiny_data / 'train', folder / 'data')
    (data / 'photos.csv').write_text('path\nclass0/0.png\n')
    SyntheticLeaves((folder / 'leaves').as_posix(), num_classes=2,
                    train_per_class=2, test_per_class=1, image_size=32)
    model = MODELS.build(eval(STAGE_TWO.replace(
        'NovelClassDiscovery', 'ImageClassifier').replace('num_novel=2, ', '')
        .partition(', init_cfg')[0] + ')'))
    torch.save(dict(state_dict=model.state_dict()), folder / 'one.pth')
    return dict(DATA=data.as_posix(), LEAVES=(folder / 'leaves').as_posix(),
                NONE=(folder / 'none').as_posix(),
                STAGE_ONE=(folder / 'one.pth').as_posix())


@pytest.mark.parametrize('call, fault, message, remedy', CASES.values(),
                         ids=CASES)
def test_the_remedy_helps(call, fault, message, remedy, files):

    def run(gap):
        return eval(re.sub(r'\b(DATA|LEAVES|NONE|STAGE_ONE)\b', lambda name:
                           files[name.group()], call.replace('{}', gap)),
                    NAMES)

    with pytest.raises((OSError, RuntimeError, TypeError, ValueError)
                       ) as error:
        run(fault)
    found = re.search(message, str(error.value))
    assert found, error.value
    run(remedy.format(*found.groups()))
