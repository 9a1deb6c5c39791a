"""Every program of docs/tools.md on a CSDNet config, as a user starts it.

Each case runs the installed program in a process of its own on a small trained
model, and looks at what it made. The process is a fork of one that has
imported all; mmpretrain's train and test import by themselves, as the config
alone tells them of this package.
"""
import csv
import json
import os
import pickle
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import mmengine
import numpy as np
import pytest
import torch
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
CASES = {}
NOT_APPLICABLE = ('shape_bias', )


def case(run):
    """Add a case under the name of its tool, for `test_tool` alone."""
    CASES[run.__name__] = run


@pytest.fixture
def user(run_program, run_python, run_script, mmpretrain_tools, repo_root,
         tiny_config, tiny_data, trained, predictions, tmp_path, request):
    """What the user of a tool has: a trained model, and a place to work."""

    def stock(name, *args):
        alone = name in ('train.py', 'test.py')
        run = run_program if alone else run_python
        return run(mmpretrain_tools / name, *args).stdout

    def ours(name, *args, **kwargs):
        if name.endswith('.sh'):
            return run_script(name, *args, **kwargs)
        return run_python(repo_root / 'tools' / name, *args, **kwargs).stdout

    return SimpleNamespace(
        stock=stock, ours=ours, python=run_program, config=tiny_config,
        data=tiny_data, image=tiny_data / 'test/class2/0.png',
        trained=trained, checkpoint=trained.checkpoint,
        predictions=predictions, folder=tmp_path,
        fixture=request.getfixturevalue)


@pytest.mark.parametrize('name', CASES)
def test_tool(name, user):
    CASES[name](user)


def state_of(path):
    return torch.load(path, weights_only=True)['state_dict']


def scores_of(path):
    return np.stack([row['pred_score'] for row in mmengine.load(path)])


def size_of(path):
    return Image.open(path).size


@case
def train(user):
    """mmpretrain's program goes on with our run, and ends like it."""
    assert 'Best epoch: ' in user.trained.log
    log = user.stock('train.py', user.config, '--work-dir', user.folder,
                     '--resume', user.trained.work_dir / 'epoch_1.pth')
    assert 'Run:' in log and 'resumed epoch: 1, iter: 4' in log
    assert 'Epoch(train) [2][4/4]' in log and 'last epoch: 2' in log
    found = state_of(user.folder / 'epoch_2.pth')
    for name, value in state_of(user.checkpoint).items():
        assert torch.equal(found[name], value), name


@case
def test(user):
    """mmpretrain's program and ours see the same."""
    out = user.folder / 'out.pkl'
    log = user.stock('test.py', user.config, user.checkpoint, '--work-dir',
                     user.folder, '--out', out)
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)
    np.testing.assert_allclose(scores_of(out), scores_of(user.predictions))
    log = user.stock('test.py', user.config, user.checkpoint, '--work-dir',
                     user.folder, '--tta')
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)


@case
def dist_train(user):
    """Two processes train one model, and resume it."""
    config, path = user.fixture('leaving')
    log = user.ours('dist_train.sh', config, 2, '--work-dir', user.folder,
                    PYTHONPATH=path)
    assert '6 images, 3 on each of 2 processes' in log
    assert log.count('Run:') == log.count('Best epoch: ') == 1
    user.fixture('check_weights')(user.folder)
    again = user.folder / 'again'
    user.ours('dist_train.sh', config, 2, '--work-dir', again, '--resume',
              user.folder / 'epoch_1.pth', PYTHONPATH=path)
    resumed = torch.load(again / 'rank0.pth')
    for key, value in torch.load(user.folder / 'rank0.pth').items():
        assert torch.equal(resumed[key], value), key


@case
def dist_test(user):
    out = user.folder / 'out.pkl'
    log = user.ours('dist_test.sh', user.config, user.checkpoint, 2,
                    '--work-dir', user.folder, '--out', out)
    assert 'Distributed training: True' in log
    np.testing.assert_allclose(
        scores_of(out), scores_of(user.predictions), atol=1e-6)


SRUN = """#!/usr/bin/env bash
# A stand-in for srun that starts all tasks on this machine.
echo "$@"
while [ "$1" != "$PYTHON" ]; do
    case "$1" in --ntasks=*) tasks=${1#*=};; esac
    shift
done
export SLURM_NTASKS=$tasks MASTER_ADDR=127.0.0.1 MASTER_PORT=$PORT
for ((task = 1; task < tasks; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" &
done
SLURM_PROCID=0 SLURM_LOCALID=0 "$@"
status=$?
wait
exit $status
"""


def run_slurm(user, name, *args, **env):
    srun = user.folder / 'srun'
    srun.write_text(SRUN)
    srun.chmod(0o755)
    log = user.ours(
        name, 'gpu', 'name', *args, GPUS='2',
        SRUN_ARGS='--time=5 --exclusive',
        PATH=os.pathsep.join([str(user.folder), os.environ['PATH']]), **env)
    for option in ('-p gpu', '--job-name=name', '--ntasks=2',
                   '--ntasks-per-node=2', '--time=5 --exclusive'):
        assert option in log
    return log


@case
def slurm_train(user):
    config, path = user.fixture('leaving')
    work_dir = user.folder / 'with space'
    log = run_slurm(user, 'slurm_train.sh', config, work_dir, '--cfg-options',
                    'train_cfg.max_epochs=1', PYTHONPATH=path)
    assert '6 images, 3 on each of 2 processes' in log
    user.fixture('check_weights')(work_dir)


@case
def slurm_test(user):
    log = run_slurm(user, 'slurm_test.sh', user.config, user.checkpoint,
                    '--work-dir', user.folder)
    assert 'Distributed training: True' in log
    assert re.search(r'Epoch\(test\).*accuracy/top1', log)


@case
def kfold_cross_valid(user):
    """Folds stop, go on, and are summed up."""
    command = ('kfold-cross-valid.py', user.config, '--num-splits', 2,
               '--work-dir', user.folder, '--no-validate', '--cfg-options',
               'train_cfg.max_epochs=1')
    log = user.ours(*command, '--fold', 1)
    assert 'Without a result: fold 0' in log
    scalars, = user.folder.glob('fold1/*/vis_data/scalars.json')

    log = user.ours(*command, fails=True)
    assert 'has been trained in already. Go on with --resume' in log

    log = user.ours(*command, '--resume')
    assert '1 of 2 trainings have a result' in log
    assert list(user.folder.glob('fold1/*/vis_data/scalars.json')) == [scalars]
    table = (user.folder / 'summary.md').read_text()
    assert table in log and '| mean ± deviation |' in table
    found = json.loads((user.folder / 'summary.json').read_text())
    assert sorted(found['folds']) == ['0', '1'] and not found['missing']
    scores = [fold['last'] for fold in found['folds'].values()]
    assert found['last_mean'] == pytest.approx(sum(scores) / 2)

    # The options have reached the folds, and a checkpoint is kept.
    checkpoint = torch.load(
        user.folder / 'fold0/epoch_1.pth', weights_only=True)
    assert checkpoint['meta']['epoch'] == 1
    log = user.ours(*command, '--summary')
    assert table in log and 'trainings' not in log


@case
def analyze_logs(user):
    scalars, *_ = user.trained.work_dir.glob('*/vis_data/scalars.json')
    curve = user.folder / 'loss.png'
    user.stock('analysis_tools/analyze_logs.py', 'plot_curve', scalars,
               '--keys', 'loss_cls', 'loss_cls_aug', '--out', curve)
    assert min(size_of(curve)) > 100
    log = user.stock('analysis_tools/analyze_logs.py', 'cal_train_time',
                     scalars)
    assert 'average iter time' in log


@case
def analyze_results(user):
    user.stock('analysis_tools/analyze_results.py', user.config,
               user.predictions, '--out-dir', user.folder, '--topk', 2)
    drawn = list(user.folder.rglob('*.png'))
    assert 0 < len(drawn) <= 4


@case
def confusion_matrix(user):
    """mmpretrain's of the checkpoint, and ours of its predictions."""
    files = [user.folder / name for name in ('stock.pkl', 'ours.pkl')]
    tool = 'analysis_tools/confusion_matrix.py'
    user.stock(tool, user.config, user.checkpoint, '--out', files[0])
    figure = user.folder / 'matrix.png'
    log = user.ours(tool, user.config, user.predictions, '--out', files[1],
                    '--show-path', figure)
    stock, ours = (pickle.loads(file.read_bytes()) for file in files)
    assert torch.equal(stock, ours)
    assert ours.shape == (6, 6) and ours.sum() == 12
    assert f'Accuracy {ours.trace().item() / 12:.2%} of 12 images' in log
    assert min(size_of(figure)) > 100


@case
def eval_metric(user):
    log = user.stock('analysis_tools/eval_metric.py', user.predictions,
                     '--metric', 'type=Accuracy', 'topk=1,2')
    assert 'accuracy/top2' in log


@case
def get_flops(user):
    log = user.stock('analysis_tools/get_flops.py', user.config, '--shape',
                     32)
    assert re.search(r'Flops: [\d.]+M', log)


@case
def print_config(user):
    log = user.stock('misc/print_config.py', user.config)
    assert "type='SSDPHook'" in log


@case
def verify_dataset(user):
    log = user.stock('misc/verify_dataset.py', user.config, '--out-path',
                     user.folder / 'broken.log')
    assert 'There is no broken file' in log


@case
def publish_model(user):
    user.stock('model_converters/publish_model.py', user.checkpoint,
               user.folder / 'csdnet.pth')
    published, = user.folder.glob('csdnet*.pth')
    content = torch.load(published, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['dataset_meta']['classes'][5] == 'class5'


@case
def vis_scheduler(user):
    path = user.folder / 'lr.png'
    user.stock('visualization/vis_scheduler.py', user.config, '--not-show',
               '--save-path', path)
    assert min(size_of(path)) > 100


@case
def browse_dataset(user):
    """A file for each image, whatever its name."""
    log = user.ours('visualization/browse_dataset.py', user.config, '-o',
                    user.folder, '--not-show')
    assert f'Wrote 24 files to {user.folder}' in log
    found = {path.name for path in user.folder.iterdir()}
    # The files of the six classes have the same names.
    assert len(found) == 24 and {'0.png', '0_6.png', '3_6.png'} <= found
    assert min(size_of(user.folder / '3_6.png')) > 100


@case
def vis_cam(user):
    pytest.importorskip('pytorch_grad_cam')
    out = user.folder / 'new' / 'cam.png'
    log = user.ours('visualization/vis_cam.py', user.image, user.config,
                    user.checkpoint, '--target-layers', 'backbone.layer5',
                    '--method', 'gradcam++', '--target-category', 1,
                    '--eigen-smooth', '--save-path', out, '--device', 'cpu')
    assert log.splitlines()[-1] == f'Wrote {out}'
    width, height = size_of(out)
    assert width > height > 300


@case
def vis_tsne(user):
    pytest.importorskip('sklearn')
    log = user.ours(
        'visualization/vis_tsne.py', user.config, '--checkpoint',
        user.checkpoint, '--work-dir', user.folder, '--test-cfg', user.config,
        '--vis-stage', 'pre_logits', '--class-idx', 0, 2, 5,
        '--max-num-samples', 2, '--n-components', 2, '--perplexity', 3.5,
        '--early-exaggeration', 10, '--learning-rate', 200, '--n-iter', 300,
        '--n-iter-without-progress', 100, '--init', 'random', '--legend',
        '--device', 'cpu')
    assert '6 images of 3 classes' in log
    width, height = size_of(user.folder / 'tsne.png')
    assert width > height > 700
    saved = np.load(user.folder / 'tsne.npz')
    assert saved['labels'].tolist() == [0, 0, 2, 2, 5, 5]
    assert saved['class_names'].tolist() == ['class0', 'class2', 'class5']
    assert saved['features'].shape == (6, 1280)
    np.testing.assert_allclose(
        np.linalg.norm(saved['features'], axis=1), 1, atol=1e-5)
    with open(user.folder / 'tsne.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['class'] for row in rows] == ['class0'] * 2 + [
        'class2'] * 2 + ['class5'] * 2
    points = [[float(row['x0']), float(row['x1'])] for row in rows]
    np.testing.assert_allclose(points, saved['points'], rtol=1e-5)
    assert rows[2]['image'].endswith('class2/0.png')


SERVER = """
import importlib.util, json, os, sys
from types import SimpleNamespace

folder, image = sys.argv[1:]
manifest = json.load(open(os.path.join(folder, 'MAR-INF/MANIFEST.json')))
name = manifest['model']['handler']
spec = importlib.util.spec_from_file_location(
    name[:-3], os.path.join(folder, name))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
handler = module.MMPreHandler()
handler.initialize(SimpleNamespace(
    manifest=manifest,
    system_properties=dict(model_dir=folder, gpu_id=None, batch_size=2)))
body = open(image, 'rb').read()
data = handler.preprocess([dict(body=body), dict(data=bytearray(body))])
print('ANSWER' + json.dumps(handler.postprocess(handler.inference(data))))
"""
# Of torchserve, which needs Java to run, the handler uses this class alone.
STAND_IN = """
class BaseHandler:
    pass
"""


@case
def mmpretrain2torchserve(user):
    """The packed handler, called as the server does, answers as test.py."""
    pytest.importorskip('model_archiver')
    user.ours('torchserve/mmpretrain2torchserve.py', user.config,
              user.checkpoint, '--output-folder', user.folder / 'out',
              '--model-name', 'leaves', '--model-version', '2.0')
    unpacked = user.folder / 'unpacked'
    with zipfile.ZipFile(user.folder / 'out' / 'leaves.mar') as archive:
        archive.extractall(unpacked)
    assert (unpacked / 'config.py').is_file()
    manifest = json.loads((unpacked / 'MAR-INF/MANIFEST.json').read_text())
    assert manifest['model']['modelName'] == 'leaves'
    assert manifest['model']['modelVersion'] == '2.0'

    stand_in = user.folder / 'path' / 'ts' / 'torch_handler'
    stand_in.mkdir(parents=True)
    for folder in (stand_in, stand_in.parent):
        (folder / '__init__.py').touch()
    (stand_in / 'base_handler.py').write_text(STAND_IN)
    server = stand_in.parents[1] / 'server.py'
    server.write_text(SERVER)
    log = user.python(server, unpacked, user.image).stdout
    answer = json.loads(log.rpartition('ANSWER')[2])
    expected = scores_of(user.predictions)[4]
    assert len(answer) == 2 and answer[0] == answer[1]
    assert answer[0]['pred_class'] == f'class{expected.argmax()}'
    assert answer[0]['pred_scores'] == pytest.approx(
        expected.tolist(), abs=1e-5)


INFERENCE = """
import json, sys
from mmpretrain import (FeatureExtractor, ImageClassificationInferencer,
                        ImageRetrievalInferencer, get_model)
from mmengine.config import Config

config, checkpoint, out, *images = sys.argv[1:]
classify = ImageClassificationInferencer(
    config, pretrained=checkpoint, device='cpu')
extract = FeatureExtractor(config, pretrained=checkpoint, device='cpu')
cfg = Config.fromfile(config)
cfg.model = dict(
    type='ImageToImageRetriever',
    image_encoder=get_model(cfg, checkpoint, head=None),
    prototype='the inferencer makes it')
retrieve = ImageRetrievalInferencer(
    cfg, images, pretrained=False, device='cpu')
matches, = retrieve(images[5], topk=12)
json.dump(
    dict(
        scores=[x['pred_scores'].tolist()
                for x in classify(images, batch_size=4)],
        classes=[x['pred_class'] for x in classify(images)],
        features=[x.tolist() for x, in extract(images, stage='neck')],
        matches=[(images.index(x['sample']['img_path']),
                  x['match_score'].item()) for x in matches]),
    open(out, 'w'))
"""


@case
def inferencers(user):
    """Scores are those of test.py; the neck's features rank the images."""
    program, out = user.folder / 'program.py', user.folder / 'out.json'
    program.write_text(INFERENCE)
    images = sorted(user.data.glob('test/*/*.png'))
    user.python(program, user.config, user.checkpoint, out, *images)
    found = json.loads(out.read_text())
    expected = scores_of(user.predictions)
    np.testing.assert_allclose(found['scores'], expected, atol=1e-5)
    # The names of the classes travel with the checkpoint.
    assert found['classes'] == [f'class{i}' for i in expected.argmax(1)]
    features = torch.tensor(found['features'])
    cosines = torch.cosine_similarity(features[5:6], features)
    indices, scores = zip(*found['matches'])
    assert list(scores) == sorted(scores, reverse=True)
    assert scores == pytest.approx(cosines[list(indices)].tolist(), abs=1e-5)


@case
def vis_ssdp(user):
    out = user.folder / 'new' / 'figure.png'
    step = 'test_dataloader.dataset.pipeline'
    log = user.ours('visualization/vis_ssdp.py', user.config, user.checkpoint,
                    '--num', 2, '--split', 'train', '--mode', 'all', '--out',
                    out, '--cfg-options', f'{step}.1.scale=96',
                    f'{step}.2.crop_size=96')
    assert log.splitlines()[-1] == f'Wrote {out}'
    width, height = size_of(out)
    assert width > 2 * height > 1000


@case
def vis_queue(user):
    out = user.folder / 'queue.png'
    log = user.ours('visualization/vis_queue.py', user.config,
                    user.checkpoint, '--dpi', 40, '--out', out)
    assert log.splitlines()[-1] == f'Wrote {out}'
    width, height = size_of(out)
    assert width > height > 300


@case
def class_accuracy(user):
    table, figure = user.folder / 'classes.csv', user.folder / 'classes.png'
    log = user.ours('analysis_tools/class_accuracy.py', user.config,
                    user.predictions, '--out', table, '--show-path', figure)
    with open(table, newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and {row['images'] for row in rows} == {'2'}
    right = scores_of(user.predictions).argmax(1) == np.arange(12) // 2
    assert sum(int(row['right']) for row in rows) == right.sum()
    assert '| class | right |' in log and min(size_of(figure)) > 100


@case
def calibration(user):
    table, figure = user.folder / 'table.csv', user.folder / 'diagram.png'
    log = user.ours('analysis_tools/calibration.py', user.config,
                    user.predictions, '--out', table, '--show-path', figure,
                    '--bins', 5)
    assert '12 images, 5 bins' in log and min(size_of(figure)) > 100
    with open(table, newline='') as file:
        row, = csv.DictReader(file)
    own = scores_of(user.predictions)[np.arange(12), np.arange(12) // 2]
    assert float(row['nll']) == pytest.approx(-np.log(own).mean(), abs=1e-4)


@case
def compare_runs(user):
    pytest.importorskip('scipy')
    out, figure = user.folder / 'table.md', user.folder / 'curves.png'
    log = user.ours('analysis_tools/compare_runs.py', user.trained.work_dir,
                    '--out', out, '--show-path', figure)
    assert out.read_text() in log and '| tiny | 1 |' in log
    assert min(size_of(figure)) > 100


@case
def soyageing_mean(user):
    results = []
    for stage, score in zip(('R1', 'R3', 'R4', 'R5', 'R6'), range(60, 65)):
        path = user.folder / f'{stage}.json'
        path.write_text(json.dumps({'accuracy/top1': score}))
        results.append(f'{stage}={path}')
    log = user.ours('analysis_tools/soyageing_mean.py', *results)
    assert '| R3 | 61.00 |' in log and '| mean | 62.00 |' in log


@case
def export(user):
    pytest.importorskip('onnxruntime')
    out = user.folder / 'model.onnx'
    log = user.ours('deployment/export.py', user.config, user.checkpoint,
                    '--out', out)
    assert 'largest difference of the logits' in log and out.is_file()


@case
def benchmark_step(user):
    log = user.ours('benchmark_step.py', user.config, '--batch-size', 4,
                    '--iters', 3, '--warmup', 1, '--device', 'cpu')
    rows = re.findall(r'^\| ([a-zC].*?) \| +(\d+) \|.*\| +(\d+) \|$', log,
                      re.M)
    assert [row[0] for row in rows] == [
        'the plain classifier', 'two plain passes', 'CSDNet',
        'the plain classifier', 'CSDNet'
    ], log
    assert log.count('- CSDNet against') == 3
    assert 'batch 4, 32 px' in log


@case
def benchmark_ddl(user):
    log = user.ours('benchmark_ddl.py', '--queue-lens', 50, '--batch-size', 4,
                    '--channels', 8, '--iters', 2, '--device', 'cpu',
                    '--no-peer')
    rows = re.findall(r'^\| (\d+) \| (.*?) \| [\d.]+ \| x ([\d.]+) \|', log,
                      re.M)
    assert [row[:2] for row in rows] == [
        ('50', 'two products'), ('50', 'DDLQueueLoss'),
        ('50', 'DDLQueueLoss violating')
    ], log
    assert rows[0][2] == '1.00'


@case
def benchmark_loading(user):
    log = user.ours('benchmark_loading.py', user.config, '--images', 5,
                    '--repeats', 1)
    rows = re.findall(r'^\| (\w+) \| ([\d.]+) \| ([\d.]+) \|$', log, re.M)
    assert [row[0] for row in rows] == [
        'LoadImageFromFile', 'ResizeEdge', 'CenterCrop', 'PackInputs', 'all']


def rows_of_the_table():
    """The names in the first column of docs/tools.md's table of tools."""
    text = (REPO / 'docs/tools.md').read_text(encoding='utf-8')
    table = re.search(r'^\| tool \|.*?\n(?=\n)', text, re.M | re.S)[0]
    for line in table.splitlines()[2:]:
        names = line.split('|')[1].split(':')[0]
        yield from (name.strip().replace('-', '_')
                    for name in names.split(','))


def test_the_table_has_a_row_for_each_case():
    listed = list(rows_of_the_table())
    assert len(listed) == len(set(listed)) >= 19
    assert set(listed) - set(NOT_APPLICABLE) <= set(CASES)


def test_every_program_is_run():
    """As a case, or by the test of its own that names it."""
    others = ''.join(
        path.read_text(encoding='utf-8')
        for path in REPO.glob('tests/**/test_*.py')
        if path != Path(__file__).resolve())
    programs = [*REPO.glob('tools/**/*.py'), *REPO.glob('tools/*.sh')]
    for path in programs:
        assert path.stem.replace('-', '_') in CASES or path.name in others, (
            path.name)
    ours = {path.stem.replace('-', '_') for path in programs}
    assert set(CASES) <= {*ours, *rows_of_the_table()}
