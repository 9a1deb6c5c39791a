"""What messages of tools tell a person to give helps.

A case is a command with a gap, what in the gap fails, the message with the
parts of its remedy in brackets, and what they make of the gap. Gaps with `=`
but no option are lines of the config. CONFIG is the config of a small
training, TRAINED and AGAIN two copies of its folder, CHECKPOINT its last file,
IMAGES a folder of photos, ANY and ANYWHERE what is not there yet.
"""
import re
import shlex
import shutil

import pytest
import torch
from PIL import Image

TEST = 'test.py CONFIG CHECKPOINT --work-dir ANYWHERE '
TSNE = ('visualization/vis_tsne.py CONFIG --checkpoint CHECKPOINT '
        '--out ANY.png --n-iter 250 ')
BROWSE = 'visualization/browse_dataset.py CONFIG --show-number 2 '
CAM = 'visualization/vis_cam.py IMAGE CONFIG CHECKPOINT --save-path ANY.png '
EXPORT = 'deployment/export.py CONFIG CHECKPOINT '
NO_DATA = '--cfg-options test_dataloader=None val_dataloader=None'
RETRIEVAL = ('visualization/vis_retrieval.py CONFIG CHECKPOINT --out ANY.png '
             '--num 2 ')
FEATURES = ('evaluate_features.py CONFIG CHECKPOINT --protocols --fractions '
            '--ks 1 ')
TRAIN = 'train.py CONFIG --work-dir {} --cfg-options train_cfg.max_epochs=3'
ONE_FOUND = (' --cfg-options train_dataloader.dataset.indices=1 '
             'test_dataloader.dataset.indices=-2')
NO_CONTRAST = 'model = dict(head=dict(contrast=None))'
NO_LABELS = 'train_dataloader = dict(dataset=dict(with_label=False))'
NO_CROP = ("test_dataloader = dict(dataset=dict(pipeline=[dict("
           "type='LoadImageFromFile'), {}dict(type='PackInputs')]))")

PROJECT = 'dataset_tools/new_project.py {} ANYWHERE --parts 4'
PREDICT = 'predict.py CONFIG CHECKPOINT IMAGES --out ANY.csv '
THRESHOLD = 'CONFIG CHECKPOINT --out ANY.json --false-reject 0.2'
EPIC = ('visualization/epic.py CONFIG CHECKPOINT --out EPIC --prototypes 2 2 '
        '--rounds 1 --epochs 1 --pairs 0 --pages 0 --batch-size 9999 ')
SIZES = ("train_dataloader = dict(dataset=dict(data_root='SIZES'))\n"
         "test_dataloader = dict(dataset=dict(pipeline=[dict(type="
         "'LoadImageFromFile'), {}dict(type='PackInputs')]))")
NAMELESS = ("train_dataloader = dict(dataset=dict(_delete_=True, type="
            "'CustomDataset', ann_file='LIST', pipeline=[]))")
WEBP = "train_dataloader = dict(dataset=dict(data_root='SIZES'))"

CASES = dict(
    out_item=(f'{TEST}--out-item metrics {{}}', '', 'Add `(--out) FILE`',
              '{} ANY.json'),
    show_tta=(f'{TEST}{{}}', '--show-dir ANYWHERE --tta', r'(--tta) makes',
              '{}'),
    show_one=(f'{TEST}{{}}', '--show-dir ANYWHERE --tta',
              r'(--show-dir) draw', '{} ANYWHERE'),
    show_hook=(f'{TEST}--show-dir ANYWHERE',
               'default_hooks = dict(visualization=None)',
               r"Add (visualization=dict\(type='VisualizationHook')\)",
               'default_hooks = dict({}))'),
    resume=(TRAIN, 'TRAINED', r'that training \(`(--resume)`\)',
            'TRAINED {}'),
    other_folder=(TRAIN, 'TRAINED', r'another folder \(`--work-dir(`)\), or',
                  'ANYWHERE'),
    sheet=(f'{BROWSE}--sheet {{}}', '',
           '--sheet writes a file: add `(--output-dir) DIR`',
           '{} ANYWHERE'),
    not_show=(f'{BROWSE}--not-show {{}}', '',
              'opens no window: add `(--output-dir) DIR`',
              '{} ANYWHERE'),
    no_display=(f'{BROWSE}{{}}', '',
                'show images on: add `(--output-dir) DIR`',
                '{} ANYWHERE'),
    no_weights=(f'{BROWSE}--mode view --output-dir ANYWHERE {{}}',
                '', '`(--checkpoint) FILE`', '{} CHECKPOINT'),
    other_config=(f'{TSNE}{{}}', '--split train --cfg-options '
                  'train_dataloader=None', 'has it with (--test-cfg)',
                  '--split train {} CONFIG'),
    few_images=(f'{TSNE}--max-num-class 2 {{}}', '--max-num-samples 1',
                'raise (--max-num-samples)', '{} 2'),
    layer=(f'{CAM}{{}}', '--target-layers backbone.layer1.0.con',
           r'Close to it: ([\w.]+)', '--target-layers {}'),
    all_layers=(f'{CAM}{{}}', '--target-layers backbone.none',
                '`(--preview-model)` shows', '{}'),
    pooled_layer=(f'{CAM}{{}}', '--target-layers head.cls_head.fc',
                  'another layer with `(--target-layers)`',
                  '{} backbone.layer2'),
    export_format=(f'{EXPORT}--out ANY.pt {{}}', '',
                   'another format with `(--format)`', '{} torchscript'),
    export_name=(f'{EXPORT}{{}}', '--out ANY.pt', r'ends in (\.onnx)',
                 '--out ANY{}'),
    export_crop=(f'{EXPORT}IMAGES --out ANY.onnx',
                 NO_CROP.format(''),
                 r"(dict\(type='CenterCrop', crop_size=)224\)",
                 NO_CROP.replace('{}', '{}32), ')),
    backbone=('model_converters/export_backbone.py CHECKPOINT ANY.pth {}', '',
              r'Choose (--part \w+)', '{}'),
    data_config=(f'{FEATURES}{{}}', NO_DATA,
                 'test images with labels: .*`(--data-config CONFIG)`', '{}'),
    data_labels=(f'{FEATURES}{{}}', NO_LABELS,
                 'without labels, name .* with `(--data-config) CONFIG`',
                 f'{NO_LABELS}\n{{}} BASE'),
    retrieval_config=(f'{RETRIEVAL}{{}}', NO_DATA,
                      'test images with labels: .*`(--data-config CONFIG)`',
                      '{}'),
    wrong_first=(f'{RETRIEVAL}{{}}{ONE_FOUND}', '--wrong-first',
                 r'Leave out `(--wrong-first)`', ''),
    protocol=(f'{RETRIEVAL}--wrong-first {{}}{ONE_FOUND}', '',
              r'another `(--protocol)`', '{} leave-one-out'),
    more_images=(f'{RETRIEVAL}--wrong-first {{}}{ONE_FOUND}', '',
                 'per class with `(--data-config CONFIG)`', '{}'),
    queue=('visualization/vis_queue.py CONFIG CHECKPOINT --out ANY.png',
           NO_CONTRAST, r"whose head has (contrast=dict\(type='DDLQueueLoss'"
           r', )\.\.\.\)', 'model = dict(head=dict({}feat_dim=1280)))'),
    threshold=('analysis_tools/unknown_threshold.py CONFIG CHECKPOINT '
               '--out ANY.json {}', '--false-reject 0.01',
               'another (--false-reject), between', '{} 0.2'),
    threshold_file=('predict.py CONFIG CHECKPOINT IMAGES --out ANY.csv '
                    '--unknown-below ANY.json', '',
                    '`tools/(analysis_tools/[^`]*)FILE.json`',
                    '{}ANY.json --false-reject 0.2'),
    predictions=('analysis_tools/class_accuracy.py CONFIG ANY.json', '',
                 'There is no result file .*`tools/(test.py CONFIG CHECKPOINT '
                 '--out [^`]*)`', '{}'),
    broken=('analysis_tools/class_accuracy.py CONFIG {}', 'BROKEN',
            'Write it anew, with `tools/(test.py CONFIG CHECKPOINT --out )',
            '{}BROKEN'),
    no_predictions=(
        'analysis_tools/class_accuracy.py CONFIG {}', 'OTHER',
        'Write it with `tools/(test.py CONFIG CHECKPOINT --out )', '{}OTHER'),
    metric=('analysis_tools/compare_runs.py TRAINED {}', '--metric none',
            'Name another with (--metric)', '{} accuracy/top2'),
    groups=('analysis_tools/compare_runs.py TRAINED AGAIN {}', '',
            r'part them with (--group) PATTERN', r"{} '\w+$'"),
    archive=('torchserve/mmpretrain2torchserve.py CONFIG CHECKPOINT '
             '--output-folder TRAINED --model-name {}', 'old',
             r'with `(--force)`', 'old {}'),
    trained=('model_converters/export_backbone.py {}', 'ANY.pth ANY.pth',
             'Train one with tools/(train.py)',
             '{} CONFIG --work-dir ANYWHERE'),
    whole=('predict.py CONFIG {} IMAGES --out ANY.csv', 'BARE',
           'Give a (checkpoint) that tools/train.py has written',
           'CHECKPOINT'),
    with_queue=('visualization/vis_queue.py CONFIG {} --out ANY.png', 'BARE',
                'Give a (checkpoint) that tools/train.py has saved with',
                'CHECKPOINT'),
    run_folder=('analysis_tools/compare_runs.py {}', 'IMAGES',
                r'Give folders that tools/train.py has (written) \(--work-dir',
                'TRAINED'),
    group_folder=(PROJECT, "PHOTOS --group '('",
                  r'Mend it, or give `(folder)`', 'PHOTOS --group {}'),
    group_table=(PROJECT, "PHOTOS --group '(lot)'",
                 r'or give a (.csv file) with a column `group`', 'TABLE'),
    no_crop=(f'{TEST}{{}}', NO_CROP.format("dict(type='Resize', scale=32), ")
             + '\n--tta-views ten-crop', 'Choose (flip), or',
             '--tta-views {}'),
    color=('analysis_tools/confusion_matrix.py CONFIG CHECKPOINT --out '
           'ANY.csv --show-path ANY.png {}', '--cmap none',
           r'Choose one such as (\w+)', '--cmap {}'),
    tolerance=(f'{EXPORT}IMAGES --out ANY.pt --format torchscript {{}}',
               '--tolerance 1e-30', 'raise `(--tolerance)`', '{} 1e-3'),
    fixed_batch=(f'{EXPORT}IMAGES --out ANY.pt --format torchscript {{}}',
                 '--tolerance 1e-30', 'or a fixed `(--batch-size)`',
                 '{} 1'),
    class_names=('enroll.py CONFIG CHECKPOINT PHOTOS --out ANYWHERE',
                 NAMELESS, 'Set `(classes)` of its dataset',
                 NAMELESS + "\ntrain_dataloader['dataset'].update({}=["
                 "f'class{{i}}' for i in range(6)])"),
    threshold_kind=(f'{PREDICT}--unknown-below {{}}', 'OTHER',
                    'between 0 and 1. Write one with tools/(analysis_'
                    r'tools/unknown_threshold.py)', f'{{}} {THRESHOLD}'),
    threshold_model=(f'{PREDICT}--unknown-below {{}}', 'EARLIER',
                     'choose it anew with tools/(analysis_tools/'
                     r'unknown_threshold.py)', f'{{}} {THRESHOLD}'),
    prototypes=('visualization/vis_prototypes.py CONFIG CHECKPOINT --out '
                'ANYWHERE {}', '', 'or use tools/(visualization/vis_cam.py)',
                '{} IMAGE CONFIG CHECKPOINT --save-path ANY.png '
                '--target-layers backbone.layer2'),
    one_size=(f'{EPIC}--parametrization cayley {{}}', SIZES.format(''),
              'what gives one size, such as (ResizeEdge) and (CenterCrop)',
              SIZES.replace(
                  '{}', "dict(type='{}', scale=40), dict(type='{}', "
                  'crop_size=32), ')),
    overwrite=(f'{EPIC}--parametrization cayley {{}}', '--seed 3',
               'into another --out or with (--overwrite)', '--seed 3 {}'),
    start_backbone=(
        '{}', 'model_converters/export_backbone.py CHECKPOINT ANY.pth '
        '--part student', 'tensors of the .*Start from it with: '
        'tools/(train.py) CONFIG (--weights) ',
        '{} CONFIG {} ANY.pth --work-dir ANYWHERE'),
    others=(f'analysis_tools/unknown_threshold.py {THRESHOLD} {{}}', '',
            'give some by (--unknown)',
            '{} IMAGES'),
    extensions=('train.py CONFIG --check-data --work-dir ANYWHERE',
                WEBP, 'or set `(extensions)` of the dataset',
                WEBP.replace('))', ", {}=('.png', '.webp')))")),
    archive_name=('torchserve/mmpretrain2torchserve.py CONFIG CHECKPOINT '
                  '--output-folder TRAINED {}', '--model-name old',
                  'another `(--model-name)`', '{} new'),
)


SAID = {'start_backbone', 'others', 'extensions'}  # is no error


@pytest.fixture
def places(trained, tiny_config, tiny_data, tmp_path):
    """The files and folders that commands name."""
    folders = [tmp_path / name for name in ('trained', 'again')]
    for folder in folders:
        shutil.copytree(trained.work_dir, folder)
    (folders[0] / 'old.mar').touch()
    images = [tmp_path / f'images/{size}.png' for size in (40, 48)]
    images[0].parent.mkdir()
    for path in images:
        Image.new('RGB', (int(path.stem), 48)).save(path)
    sizes = shutil.copytree(tiny_data / 'train', tmp_path / 'sizes')
    for path in sizes.glob('class0/*'):
        Image.new('RGB', (96, 96)).save(path)
    Image.new('RGB', (8, 8)).save(sizes / 'class0/new.webp')
    photos = sorted((tiny_data / 'train').glob('*/*'))
    lines = [f'{path},{path.parent.name},{path.stem}\n' for path in photos]
    texts = {'table.csv': f'path,label,group\n{"".join(lines)}',
             'list.txt': ''.join(f'{path} {path.parent.name[-1]}\n'
                                 for path in photos),
             'other.json': '{}', 'broken.json': '{',
             'earlier.json': '{"threshold": 0.5, "checkpoint": "other"}'}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    checkpoint = folders[0] / 'epoch_2.pth'
    state = torch.load(checkpoint)['state_dict']
    torch.save({name: value for name, value in state.items()
                if name.startswith('backbone.')}, tmp_path / 'bare.pth')
    return dict(
        {name.partition('.')[0].upper(): tmp_path / name
         for name in [*texts, 'bare.pth', 'sizes', 'images', 'any', 'epic']},
        BASE=tiny_config, CHECKPOINT=checkpoint, TRAINED=folders[0],
        AGAIN=folders[1], IMAGE=images[0], ANYWHERE=tmp_path / 'out',
        PHOTOS=tiny_data / 'train')


@pytest.mark.parametrize('name', CASES)
def test_the_remedy_helps(name, run_python, repo_root, places, tiny_config,
                          tmp_path, monkeypatch):
    command, fault, message, remedy = CASES[name]
    monkeypatch.delenv('DISPLAY', raising=False)

    def fill(text):
        return re.sub(r'\b[A-Z]{3,}\b', lambda name: str(
            places.get(name.group(), name.group())), text)

    def run(gap, fails):
        places['CONFIG'] = tiny_config
        if '=' in gap and not gap.startswith('-'):
            lines, _, options = gap.partition('\n--')
            places['CONFIG'] = tmp_path / 'config.py'
            places['CONFIG'].write_text(
                f'_base_ = {str(tiny_config)!r}\n{fill(lines)}')
            gap = options and f'--{options}'
        text = command.replace('{}', gap)
        if re.match(r'[\w/]+\.py', gap):
            text = gap
        tool, *args = shlex.split(fill(text))
        return run_python(repo_root / 'tools' / tool, *args, fails=fails)

    if name == 'overwrite':
        run('', False)
    text = ' '.join(run(fault, name not in SAID).stdout.split())
    found = re.search(message, text)
    assert found, text
    run(remedy.format(*found.groups()), False)
