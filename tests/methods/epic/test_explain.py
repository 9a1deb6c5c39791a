from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from noise_images import write_noise_images
from torch import nn

from csd_mmpretrain.datasets.eval_images import eval_pipeline, file_items
from csd_mmpretrain.evaluation.confusion_pairs import ConfusedPair
from csd_mmpretrain.evaluation.feature_data import labelled_splits
from csd_mmpretrain.methods.epic import fit_classifier as module
from csd_mmpretrain.methods.epic.disentanglement_matrix import (
    DisentanglementMatrix,
)
from csd_mmpretrain.methods.epic.explain import (
    EpicExplainer,
    channel_heat,
    contributions,
    fade,
    mixed_weight,
)
from csd_mmpretrain.methods.epic.fit_classifier import fit_classifier
from csd_mmpretrain.methods.epic.fitted_epic import (
    FittedEpic,
    preprocessing_of,
    weights_hash,
)
from csd_mmpretrain.methods.epic.fold import fold
from csd_mmpretrain.methods.epic.pooled_classifier import PooledClassifier
from csd_mmpretrain.methods.epic.purity import mix_channels
from csd_mmpretrain.methods.epic.report import (
    class_channels,
    confused_pairs,
    fit_table,
    logit_table,
    pair_table,
    summaries,
    write_pages,
)
from csd_mmpretrain.methods.epic.training_maps import collect_maps

SETTINGS = dict(prototypes=[6, 2], rounds=3)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=64),
    dict(type='PackInputs'),
]


@pytest.fixture(scope='module')
def cfg(tmp_path_factory):
    """A small CSDNet, and images of noise."""
    root = write_noise_images(tmp_path_factory.mktemp('noise'), 5)
    loader = dict(
        batch_size=4, num_workers=0,
        dataset=dict(type='CustomDataset', data_root=str(root),
                     pipeline=PIPELINE))
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='ResNet', depth=18, stem_channels=8,
                              base_channels=8),
                neck=dict(type='SSDPNeck', in_channels=64),
                head=dict(type='CSDHead', cls_head=dict(
                    type='LinearClsHead', num_classes=3, in_channels=64)),
                data_preprocessor=dict(mean=[127.5] * 3, std=[50.] * 3)),
            train_dataloader=loader,
            test_dataloader=loader))


@pytest.fixture(scope='module')
def model(cfg):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    nn.init.normal_(model.head.cls_head.fc.weight)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    model.train().backbone(torch.randn(8, 3, 64, 64))
    return model.eval()


@pytest.fixture(scope='module')
def images(cfg):
    return labelled_splits(cfg)['train']


@pytest.fixture(scope='module')
def fitted(cfg, model, images, tmp_path_factory):
    return fit_classifier(
        PooledClassifier(model), images,
        preprocessing_of(model, eval_pipeline(cfg)),
        tmp_path_factory.mktemp('fit'), SETTINGS)


@pytest.fixture
def explainer(cfg, model, fitted):
    return EpicExplainer(fitted, PooledClassifier(model),
                         lambda path: file_items(cfg, [path], 1)[0])


@pytest.fixture
def items(cfg, images):
    items = file_items(cfg, images.paths[::6], 3)
    for item, label in zip(items, (0, 1, 2)):
        item['data_samples'].set_gt_label(label)
    return items


def test_the_head_of_the_published_code(oracle):
    known = {key: torch.from_numpy(value)
             for key, value in oracle('epic/head_orthogonal').items()}
    matrix = DisentanglementMatrix(6).double()
    with torch.no_grad():
        matrix.raw.copy_(known['raw'])
    mixing, inverse = matrix.both()
    np.testing.assert_allclose(mixing, known['U'], rtol=1e-9)
    weight = mixed_weight(known['weight'], inverse)
    np.testing.assert_allclose(weight, known['new_weight'], rtol=1e-9)
    pooled = mix_channels(known['feature_map'], mixing).mean((2, 3))
    np.testing.assert_allclose(pooled, known['new_pooled'], rtol=1e-9)
    logits = pooled @ weight.mT + known['bias']
    np.testing.assert_allclose(logits, known['new_logits'], rtol=1e-9)
    found = contributions(weight, pooled, known['prediction'])
    np.testing.assert_allclose(found, known['contribution'], rtol=1e-9,
                               atol=1e-12)
    assert torch.equal(found.topk(3).indices, known['top_channels'])


@torch.no_grad()
def test_explanations_say_what_the_classifier_computes(explainer, model,
                                                       items):
    explanations = explainer.explain(items, 3, 2)
    mixing, inverse = explainer.epic.matrix.both()
    for explanation, item in zip(explanations, items):
        inputs = model.data_preprocessor(dict(inputs=[item['inputs']]))
        inputs = inputs['inputs']
        logits = model(inputs)[0]
        label = int(logits.argmax())
        assert explanation.class_name == f'class{label}'
        assert explanation.true_class == \
            f'class{int(item["data_samples"].gt_label)}'
        assert explanation.logit == pytest.approx(logits[label].item())
        assert explanation.score == pytest.approx(
            logits.softmax(0)[label].item())
        points = [reason.points for reason in explanation.reasons]
        assert sum(points) + explanation.rest == pytest.approx(
            explanation.logit)
        # The equations, image by image and channel by channel.
        x = model.backbone(inputs)[-1]
        gate = model.neck.pattern_map((x, )).sigmoid()
        maps = torch.einsum('kd,dhw->khw', mixing, (x * gate[:, None])[0])
        weight = model.head.cls_head.fc.weight[label] @ inverse
        expected = [max(0, maps[k].mean()) * weight[k] for k in range(64)]
        best = np.argsort(expected)[::-1][:3]
        assert [reason.name for reason in explanation.reasons] == [
            f'channel {k}' for k in best]
        np.testing.assert_allclose(points, np.array(expected)[best],
                                   rtol=1e-3)
        for reason, k in zip(explanation.reasons, best):
            assert reason.similarity * reason.weight == pytest.approx(
                reason.points)
            left, top, right, bottom = reason.part.box
            assert (right - left, bottom - top) == (32, 32)
            peak = maps[k].flatten().argmax().item()
            assert (top // 32, left // 32) == divmod(peak, 2)
            sums = [explainer.read(explainer.load(path)).maps[k].sum().item()
                    for path in explainer.epic.files]
            order = np.argsort(sums)[::-1][:2]
            assert [patch.source for patch in reason.prototypes] == [
                explainer.epic.files[i] for i in order]
            for patch in reason.prototypes:
                assert patch.class_name in patch.source
                assert patch.image.shape == (64, 64, 3)
                assert patch.heat.min() >= 0 and patch.heat.max() <= 1


def test_predictions_and_weights_stay(cfg, model, images, fitted, tmp_path):
    assert fitted.unchanged.startswith('unchanged: 15 of 15 predictions')
    before = weights_hash(model)
    model.train()
    collect_maps(PooledClassifier(model), images, tmp_path / 'maps.npy')
    assert model.training and weights_hash(model) == before
    model.eval()


def test_maps_do_not_depend_on_the_batches(cfg, model):
    found = []
    for size in (1, 4, 15):
        cfg.train_dataloader.batch_size = size
        folder = cfg.train_dataloader.dataset.data_root
        found.append(collect_maps(
            PooledClassifier(model), labelled_splits(cfg)['train'],
            module.Path(folder).parent / f'maps{size}.npy'))
    for other in found[1:]:
        torch.testing.assert_close(other.sums, found[0].sums, rtol=1e-4,
                                   atol=1e-4)
        torch.testing.assert_close(other.maps, found[0].maps)


def test_a_saved_matrix_is_read_again(fitted, model, tmp_path):
    path = str(tmp_path / 'epic.pth')
    fitted.save(path)
    again = FittedEpic.load(path)
    assert torch.equal(again.matrix(), fitted.matrix())
    for name in ('before', 'after'):
        for a, b in zip(getattr(again, name), getattr(fitted, name)):
            assert torch.equal(a, b)
    for name in ('files', 'labels', 'classes', 'curve', 'settings', 'grid',
                 'unchanged', 'classifier', 'preprocessing'):
        assert getattr(again, name) == getattr(fitted, name), name
    again.check(PooledClassifier(model), fitted.preprocessing, SETTINGS)


def test_another_classifier_is_refused(fitted, model):
    classifier = PooledClassifier(model)
    with pytest.raises(ValueError, match='rounds=3, but rounds=4'):
        fitted.check(classifier, fitted.preprocessing, dict(rounds=4))
    with pytest.raises(ValueError, match='another preprocessing'):
        fitted.check(classifier, 'Resize(scale=32)', {})
    bias = model.head.cls_head.fc.bias.data
    bias += 1e-3
    with pytest.raises(ValueError, match='fitted on the weights'):
        fitted.check(classifier, fitted.preprocessing, {})
    bias -= 1e-3
    classifier.weight = classifier.weight[:, :9]
    with pytest.raises(ValueError, match='64 channels.*classifier has 9'):
        fitted.check(classifier, fitted.preprocessing, {})


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save(dict(files=[]), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='no file of EPIC: it lacks after'):
        FittedEpic.load(str(tmp_path / 'other.pth'))


@pytest.mark.parametrize('change', [
    dict(settings=None), dict(settings={}), dict(files=[]), dict(labels=[99]),
    dict(classes=[]), dict(matrix=torch.eye(3)), dict(matrix='none'),
    dict(matrix=torch.full((64, 64), float('nan'))), dict(before=(1, 2)),
    dict(after=tuple(torch.full((64, 2, 2), 99) for _ in range(3)))])
def test_a_file_whose_parts_do_not_fit_is_refused(fitted, tmp_path, change):
    path = str(tmp_path / 'epic.pth')
    fitted.save(path)
    torch.save(dict(torch.load(path), **change), path)
    with pytest.raises(ValueError, match='no file of EPIC.*--overwrite'):
        FittedEpic.load(path)


def test_work_files_of_something_else_are_refused(model, images, tmp_path):
    torch.save(dict(key=dict(files=[])), tmp_path / 'maps.pth')
    with pytest.raises(ValueError, match='belongs to a fit with other'):
        fit_classifier(PooledClassifier(model), images, '', tmp_path, SETTINGS)


@pytest.mark.parametrize('settings, message', [
    (dict(prototypes=[16, 2]), '16 prototypes .* 15 training images'),
    (dict(prototypes=[6, 0]), 'at least 1'), (dict(rounds=0), 'at least 1'),
    (dict(epochs=0), 'epochs=0'),
    (dict(kind='invertible', parametrization='cayley'), 'orthogonal'),
])
def test_impossible_settings_are_refused_first(model, images, tmp_path,
                                               settings, message):
    with pytest.raises(ValueError, match=message):
        fit_classifier(PooledClassifier(model), images, '', tmp_path,
                       dict(SETTINGS, **settings))
    assert not list(tmp_path.iterdir())


def test_arcface_with_an_invertible_matrix_is_refused(model, images,
                                                      tmp_path):
    classifier = PooledClassifier(model)
    classifier.cosine = True
    with pytest.raises(ValueError, match='Use `--kind orthogonal`'):
        fit_classifier(classifier, images, '', tmp_path,
                       dict(SETTINGS, kind='invertible'))


def test_images_without_files_are_refused(model, images, tmp_path):
    images = images._replace(paths=['', *images.paths[1:]])
    with pytest.raises(ValueError, match='1 of 15 training images have no'):
        fit_classifier(PooledClassifier(model), images, '', tmp_path,
                       SETTINGS)


def test_maps_that_are_not_finite_are_refused(model, images, tmp_path):
    classifier = PooledClassifier(model)
    read = classifier.read

    def spoiled(inputs):
        maps, logits = read(inputs)
        maps[-1, 3, 0, 0] = 1e5  # too large for half precision
        return maps, logits

    classifier.read = spoiled
    with pytest.raises(ValueError, match=r'class0.3.png is not finite in '
                       r'half precision \(largest value 1e\+05'):
        collect_maps(classifier, images, tmp_path / 'maps.npy')


def test_a_full_disk_and_sizes_that_differ_are_refused(
        model, images, tmp_path, monkeypatch):
    classifier = PooledClassifier(model)
    read, calls = classifier.read, []

    def cut(inputs):
        calls.append(inputs)
        return read(inputs if len(calls) == 1 else inputs[..., :32])

    classifier.read = cut
    with pytest.raises(ValueError, match=r'class0.4.png has a feature map'):
        collect_maps(classifier, images, tmp_path / 'maps.npy')
    monkeypatch.setattr('shutil.disk_usage', lambda _: SimpleNamespace(free=0))
    with pytest.raises(ValueError, match='but the disk has 0 MB left'):
        collect_maps(PooledClassifier(model), images, tmp_path / 'maps.npy')


def test_a_stopped_fit_goes_on(cfg, model, images, fitted, tmp_path,
                               monkeypatch, capsys):
    save = module.save_plain

    def stop(content, path):
        save(content, path)
        if content.get('state', {}).get('round') == 2:
            raise KeyboardInterrupt

    classifier = PooledClassifier(model)
    arguments = images, fitted.preprocessing, tmp_path
    with monkeypatch.context() as context:
        context.setattr(module, 'save_plain', stop)
        with pytest.raises(KeyboardInterrupt):
            fit_classifier(classifier, *arguments, SETTINGS)
    with pytest.raises(ValueError, match='rounds.pth .* other settings'):
        fit_classifier(classifier, *arguments, dict(SETTINGS, seed=1))
    with pytest.raises(ValueError, match='maps.pth .* other preprocessing'):
        fit_classifier(classifier, images, 'other', tmp_path, SETTINGS)
    capsys.readouterr()
    again = fit_classifier(classifier, *arguments, SETTINGS)
    assert 'Going on after round 2' in capsys.readouterr().out
    assert torch.equal(again.matrix.raw, fitted.matrix.raw)
    assert again.curve == fitted.curve


def test_an_ill_conditioned_matrix_gives_a_warning(model, images, tmp_path,
                                                   monkeypatch, capsys):
    monkeypatch.setattr(module, 'condition_number', lambda _: 2e4)
    fit_classifier(PooledClassifier(model), images, '', tmp_path,
                   dict(SETTINGS, rounds=1, epochs=1))
    assert 'condition number of the matrix is 2.0e+04' in \
        capsys.readouterr().out


@torch.no_grad()
def test_a_folded_classifier_predicts_the_same(cfg, model, fitted, tmp_path,
                                               items):
    difference = fold(cfg, fitted, PooledClassifier(model), tmp_path)
    assert difference < 1e-3
    settings = Config.fromfile(tmp_path / 'folded.py').model
    folded = MODELS.build(settings).eval()
    state = torch.load(tmp_path / 'folded.pth', weights_only=True)
    folded.load_state_dict(state['state_dict'])
    inputs = model.data_preprocessor(
        dict(inputs=[item['inputs'] for item in items]))['inputs']
    torch.testing.assert_close(folded(inputs), model(inputs), atol=1e-3,
                               rtol=1e-4)
    means = folded.extract_feat(inputs)[-1]
    torch.testing.assert_close(
        means, model.extract_feat(inputs)[-1] @ fitted.matrix().mT,
        atol=1e-3, rtol=1e-3)


def test_heat_and_fading():
    heat = channel_heat(np.float32([[-1, 2], [4, -3]]), (8, 8))
    assert heat.shape == (8, 8) and heat.min() == 0 and heat.max() == 1
    assert not channel_heat(-np.ones((2, 2), np.float32), (4, 4)).any()
    image = np.full((2, 1, 3), 255, np.uint8)
    assert fade(image, np.float32([[0], [0.5]]))[:, 0, 0].tolist() == [
        128, 191]


def test_faded_images_have_no_heat(explainer, items):
    explainer.faded = True
    reason = explainer.explain(items[:1], 1, 1)[0].reasons[0]
    assert reason.part.heat is None
    assert np.abs(reason.part.image.astype(int) - 127).min() <= 1


def test_tables_count_what_they_say(explainer, fitted, items):
    found = summaries(fitted)['after']
    assert found.mean == pytest.approx(fitted.after.purity.mean().item())
    assert found.distinct == len(set(fitted.after.images.flatten().tolist()))
    assert found.quartiles == sorted(found.quartiles)
    caption, header, rows = fit_table(fitted)
    assert fitted.unchanged in caption
    assert [row[0] for row in rows] == ['before', 'after']
    explanations = explainer.explain(items, 2, 1)
    _, header, rows = logit_table(explanations)
    for row in rows:
        row = dict(zip(header, row))
        assert row['shown channels'] + row['rest'] == pytest.approx(
            row['logit'])
    weight = torch.tensor([[3., 1, 2, 0], [0., 5, 4, 1]])
    assert class_channels(weight, 2) == [[0, 2], [1, 2]]
    explainer.weight = weight
    _, _, rows = pair_table(explainer, [ConfusedPair(0, 1, 3, 4, 0)], 2)
    assert rows == [['class0', 'class1', '3 of 4', '0', '2', '1']]


def test_dead_channels_are_those_that_no_image_excites(cfg, model, images,
                                                       fitted, tmp_path):
    data = collect_maps(PooledClassifier(model), images,
                        tmp_path / 'maps.npy')
    for dead, matrix in ((fitted.dead_before, torch.eye(64)),
                         (fitted.dead_after, fitted.matrix())):
        sums = mix_channels(data.maps.float(), matrix).sum((2, 3))
        clear = sums.amax(0).abs() > 1e-2
        assert torch.equal(dead[clear], (sums <= 0).all(0)[clear])


def test_the_report_and_its_figures(explainer, images, items, tmp_path,
                                    capsys):
    pairs = confused_pairs(explainer, images, 2)
    assert 'Test images unchanged: 15 of 15' in capsys.readouterr().out
    logits = torch.cat([explainer.read(explainer.load(path)).logits[None]
                        for path in images.paths])
    wrong = {(label, int(found)) for label, found in
             zip(explainer.epic.labels, logits.argmax(1)) if label != found}
    assert pairs and {(p.true, p.predicted) for p in pairs} <= wrong
    assert confused_pairs(explainer, images, 0) == []
    explanations = explainer.explain(items[:1], 2, 2)
    files = write_pages(explainer, explanations, None, pairs, 2, 2, tmp_path)
    names = [path.name for path in files]
    assert names[:3] == ['report.html', 'explanation_1.png', 'purity.png']
    assert f'{explanations[0].class_name}.png' in [
        name.replace('class_', 'class') for name in names]
    assert len(names) == 4 + len(pairs) + 2
    assert all(path.stat().st_size > 5000 for path in files)
    report = files[0].read_text()
    assert explainer.epic.unchanged in report
    assert 'share of the logit' in report


def test_a_prototype_that_is_gone_is_named(explainer, fitted):
    files = fitted.files
    fitted.files = [f'/gone/{i}.png' for i in range(len(files))]
    try:
        with pytest.raises(FileNotFoundError, match='/gone/'):
            explainer.prototype_patches(0, 1)
    finally:
        fitted.files = files


def test_a_sample_without_label_has_no_true_class(explainer, items):
    items[0]['data_samples'] = DataSample()
    assert explainer.explain(items[:1], 1, 1)[0].true_class == ''
