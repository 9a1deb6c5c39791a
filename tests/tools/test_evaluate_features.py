import csv
import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.evaluation.feature_data import (
    labelled_images,
)
from csd_mmpretrain.evaluation.feature_table import feature_table
from csd_mmpretrain.evaluation.features import (
    LabelledFeatures,
    collect_features,
)
from csd_mmpretrain.evaluation.knn import knn_scores
from csd_mmpretrain.evaluation.retrieval import PROTOCOLS, evaluate_protocol

# A self-supervised training of the same images, without labels or tests.
SIMSIAM = """
_base_ = ['{repo}/configs/_base_/default_runtime.py']
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    dataset=dict(
        type='CustomDataset', data_root='{data}/train', with_label=False,
        pipeline=[]),
    sampler=dict(type='DefaultSampler', shuffle=True))
model = dict(
    type='SimSiam',
    backbone=dict(type='MobileNetV2', widen_factor=0.25),
    neck=None,
    head=dict(
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(
            type='NonLinearNeck',
            in_channels=8,
            hid_channels=8,
            out_channels=8)),
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3,
        bgr_to_rgb=True))
"""


@pytest.fixture(scope='module')
def tool(repo_root):
    return repo_root / 'tools/evaluate_features.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory, tiny_config):
    model = build_bare_model(Config.fromfile(tiny_config))
    path = tmp_path_factory.mktemp('features') / 'model.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def test_the_command_that_users_know(run_python, tool, tiny_config,
                                     checkpoint, tmp_path):
    done = run_python(tool, tiny_config, checkpoint, '--ks', 2, 10, 100,
                      '--seeds', 0, 1, '--device', 'cpu', '--out',
                      tmp_path / 'new' / 'table.csv')
    with open(tmp_path / 'new' / 'table.csv', encoding='utf-8') as file:
        header, *rows = csv.reader(file)
    assert [row[0] for row in rows] == [
        'kNN, k = 2', 'kNN, k = 10', 'retrieval, every-9th',
        'retrieval, train-gallery', 'retrieval, leave-one-out',
        'linear probe on fixed features, 1, 5, 10, 20 % of the labels',
        'linear probe on fixed features, 50 % of the labels',
        'linear probe on fixed features, 100 % of the labels'
    ]
    assert [row[1] for row in rows] == [
        '24', '24', '34 (gallery)', '24 (gallery)', '11 (gallery)', '6', '12',
        '24']
    assert [row[2] for row in rows] == [
        '12', '12', '2 (queries)', '12 (queries)', '12 (queries)', '12', '12',
        '12']
    assert all('| ' + ' | '.join(row) + ' |' in done.stdout for row in rows)
    assert 'k = 100 is left out: there are 24 training images' in done.stdout
    assert 'numbers are not comparable' in done.stdout

    cfg = Config.fromfile(tiny_config)
    model = build_bare_model(cfg)
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    train, test = (
        collect_features(model, labelled_images(cfg, split).loader)
        for split in ('train', 'test'))
    expected = knn_scores(test, train, [2])[2]
    assert rows[0][3:5] == [f'{100 * expected.top1:.1f}',
                            f'{100 * expected.top5:.1f}']


def test_images_are_as_the_models_test_wants_them(tiny_config):
    data = Config.fromfile(tiny_config)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=20),
                dict(type='PackInputs')]
    for model, size in ((Config(dict(test_pipeline=pipeline)), 20),
                        (Config(), 32), (None, 32)):
        image = labelled_images(data, 'test', model).loader.dataset[0]
        assert image['inputs'].shape == (3, size, size)


def test_a_self_supervised_model(run_python, tool, tiny_config, tiny_data,
                                 repo_root, tmp_path):
    config = tmp_path / 'simsiam.py'
    config.write_text(
        SIMSIAM.format(repo=repo_root.as_posix(), data=tiny_data.as_posix()))
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(model.backbone.state_dict(), tmp_path / 'backbone.pth')
    command = (tool, config, tmp_path / 'backbone.pth', '--ks', 2,
               '--protocols', 'leave-one-out', '--fractions', 1, '--device',
               'cpu')
    done = run_python(*command, fails=True)
    assert '`--data-config CONFIG`' in done.stdout
    done = run_python(*command, '--data-config', tiny_config, '--out',
                      tmp_path / 'table.md')
    table = (tmp_path / 'table.md').read_text()
    assert table in done.stdout and table.count('\n') == 5
    done = run_python(*command, '--data-config', tiny_config, '--stage',
                      'neck', fails=True)
    assert 'SimSiam is self-supervised' in done.stdout


@pytest.mark.parametrize('options, expected', [
    ('--fractions 10', '--fractions 10: fractions must be'),
    ('--ks 0', '--ks: 0 must be at least 1'),
    ('--temperature 0', '--temperature 0: it must be'),
    ('--protocols recall', "invalid choice: 'recall'"),
    ('--out table.txt', 'must end in .md or .csv')])
def test_bad_options(tool, options, expected, monkeypatch, capsys):
    command = [str(tool), 'config.py', 'model.pth', *options.split()]
    monkeypatch.setattr(sys, 'argv', command)
    with pytest.raises(SystemExit):
        runpy.run_path(str(tool), run_name='__main__')
    assert expected in capsys.readouterr().err


def test_what_is_shared_and_left_out_is_said():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 4
    train = LabelledFeatures(torch.randn(20, 8, generator=generator), labels)
    test = LabelledFeatures(torch.randn(9, 8, generator=generator),
                            torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 7]))
    table = feature_table(
        train, test, ks=(5, 50), protocols=['train-gallery'],
        fractions=(0.01, 0.2, 0.3, 1), seeds=(0, 1))
    assert [row[1] for row in table.rows] == [
        '20', '20 (gallery)', '4', '8', '20']
    assert '±' in table.rows[2][3] and '±' not in table.rows[4][3]
    left_out, queries, shared, probe, spread = table.notes
    assert left_out == ('kNN with k = 50 is left out: there are 20 training '
                        'images.')
    assert '1 queries have no image of their class' in queries
    assert shared.startswith('1, 20 % of the labels are the same 4 images')
    assert 'not augmented' in probe
    assert 'over 2 choices' in spread
    notes = feature_table(train, test, (5, ), protocols=(), fractions=(1, ),
                          seeds=(0, 1)).notes
    assert not any('choices' in note for note in notes)


@pytest.mark.parametrize('tested', [6, 1])
def test_what_few_images_cannot_give_costs_no_other_row(tested):
    """One test image of each class, and fewer training images than any k."""
    generator = torch.Generator().manual_seed(0)
    train = LabelledFeatures(torch.randn(8, 4, generator=generator),
                             torch.arange(8) % 6)
    test = LabelledFeatures(torch.randn(tested, 4, generator=generator),
                            torch.arange(tested))
    table = feature_table(train, test, ks=(10, 20), fractions=(1, ))
    assert [row[0].split(' on ')[0] for row in table.rows] == [
        'retrieval, every-9th', 'retrieval, train-gallery', 'linear probe']
    assert table.notes[:3] == [
        'kNN with k = 10 is left out: there are 8 training images.',
        'kNN with k = 20 is left out: there are 8 training images.',
        'Retrieval, leave-one-out, is left out: no query has an image of its '
        'class in the gallery.']
    table = feature_table(train, test, ks=(), protocols=['leave-one-out'],
                          fractions=())
    assert not table.rows and len(table.notes) == 1


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('seed', range(20))
def test_a_protocol_is_left_out_just_where_it_has_no_scores(protocol, seed):
    generator = torch.Generator().manual_seed(seed)
    train, test = (
        LabelledFeatures(torch.randn(num, 4, generator=generator),
                         torch.randint(9, (num, ), generator=generator))
        for num in (3, 3))
    table = feature_table(train, test, (), protocols=[protocol], fractions=())
    try:
        evaluate_protocol(protocol, train, test)
    except ValueError:
        assert not table.rows and 'is left out' in table.notes[0]
    else:
        assert table.rows


def test_what_is_wrong_is_no_note():
    features = LabelledFeatures(torch.full((4, 2), torch.nan), torch.zeros(4))
    with pytest.raises(ValueError, match='finite'):
        feature_table(features, features, (), protocols=['leave-one-out'])
    with pytest.raises(ValueError, match="no retrieval protocol 'recall'"):
        feature_table(features, features, (), protocols=['recall'])
