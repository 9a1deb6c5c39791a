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
NO_CROP = ("test_dataloader = dict(dataset=dict(pipeline=[dict("
           "type='LoadImageFromFile'), {}dict(type='PackInputs')]))")

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
    other_folder=(TRAIN, 'TRAINED', r'another folder \(`--work-dir(`)',
                  'ANYWHERE'),
    sheet=(f'{BROWSE}--sheet {{}}', '', 'add `(--output-dir) DIR`',
           '{} ANYWHERE'),
    not_show=(f'{BROWSE}--not-show {{}}', '', 'add `(--output-dir) DIR`',
              '{} ANYWHERE'),
    no_display=(f'{BROWSE}{{}}', '', 'add `(--output-dir) DIR`',
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
                  'with `(--target-layers)`', '{} backbone.layer2'),
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
    data_config=(f'{FEATURES}{{}}', NO_DATA, '`(--data-config CONFIG)`',
                 '{}'),
    retrieval_config=(f'{RETRIEVAL}{{}}', NO_DATA,
                      '`(--data-config CONFIG)`', '{}'),
    wrong_first=(f'{RETRIEVAL}{{}}{ONE_FOUND}', '--wrong-first',
                 r'Leave out `(--wrong-first)`', ''),
    protocol=(f'{RETRIEVAL}--wrong-first {{}}{ONE_FOUND}', '',
              r'another `(--protocol)`', '{} leave-one-out'),
    more_images=(f'{RETRIEVAL}--wrong-first {{}}{ONE_FOUND}', '',
                 '`(--data-config CONFIG)`', '{}'),
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
                 '`tools/(test.py CONFIG CHECKPOINT --out [^`]*)`', '{}'),
    metric=('analysis_tools/compare_runs.py TRAINED {}', '--metric none',
            'Name another with (--metric)', '{} accuracy/top2'),
    groups=('analysis_tools/compare_runs.py TRAINED AGAIN {}', '',
            r'part them with (--group) PATTERN', r"{} '\w+$'"),
    archive=('torchserve/mmpretrain2torchserve.py CONFIG CHECKPOINT '
             '--output-folder TRAINED --model-name {}', 'old',
             r'with `(--force)`', 'old {}'),
    archive_name=('torchserve/mmpretrain2torchserve.py CONFIG CHECKPOINT '
                  '--output-folder TRAINED {}', '--model-name old',
                  'another `(--model-name)`', '{} new'),
)


@pytest.mark.parametrize('command, fault, message, remedy', CASES.values(),
                         ids=CASES)
def test_the_remedy_helps(command, fault, message, remedy, run_python,
                          repo_root, trained, tiny_config, tmp_path,
                          monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    folders = [tmp_path / name for name in ('trained', 'again')]
    for folder in folders:
        shutil.copytree(trained.work_dir, folder)
    (folders[0] / 'old.mar').touch()
    images = [tmp_path / f'images/{size}.png' for size in (40, 48)]
    images[0].parent.mkdir()
    for path in images:
        Image.new('RGB', (int(path.stem), 48)).save(path)
    places = dict(
        CHECKPOINT=folders[0] / 'epoch_2.pth', TRAINED=folders[0],
        AGAIN=folders[1], IMAGE=images[0], IMAGES=images[0].parent,
        ANYWHERE=tmp_path / 'out', ANY=tmp_path / 'any')

    def run(gap, fails):
        places['CONFIG'] = tiny_config
        if '=' in gap and not gap.startswith('-'):
            places['CONFIG'] = tmp_path / 'config.py'
            places['CONFIG'].write_text(
                f'_base_ = {str(tiny_config)!r}\n{gap}')
            gap = ''
        text = command.replace('{}', gap)
        if gap.startswith(('test.py', 'analysis_tools')):
            text = gap
        text = re.sub(r'\b[A-Z]{3,}\b', lambda name: str(
            places.get(name.group(), name.group())), text)
        tool, *args = shlex.split(text)
        return run_python(repo_root / 'tools' / tool, *args, fails=fails)

    text = ' '.join(run(fault, True).stdout.split())
    found = re.search(message, text)
    assert found, text
    run(remedy.format(*found.groups()), False)
