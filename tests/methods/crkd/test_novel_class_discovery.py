"""Stage 2: its teacher, gradients, hidden labels, ranks, and refusals."""
import copy
import hashlib

import pytest
import torch
from discovery_models import NOVEL, build_discovery, make_batch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from ranks import run_ranks

from csd_mmpretrain.methods.crkd.novel_class_discovery import split_labels


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)


def test_student_starts_from_stage_one_and_teacher_stays(stage_one):
    model = build_discovery(stage_one)
    start = torch.load(stage_one)['state_dict']
    state = model.state_dict()
    for name, value in start.items():
        torch.testing.assert_close(state[name], value.to(state[name]))
    teacher, = model._teacher
    before = copy.deepcopy(teacher.state_dict())
    assert not any(name.startswith('_teacher') for name in state)
    own = {id(p) for p in teacher.parameters()}
    wrapper = build_optim_wrapper(model, dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=.5)))
    for group in wrapper.optimizer.param_groups:
        assert not own & {id(p) for p in group['params']}
    for _ in range(3):
        model.train()
        wrapper.update_params(total(model(*make_batch(), mode='loss')))
    assert not any(m.training for m in teacher.modules())
    assert all(p.grad is None for p in teacher.parameters())
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not torch.equal(model.backbone.conv1.weight,
                           teacher.backbone.conv1.weight)
    digest = hashlib.sha256(stage_one.read_bytes()).digest()
    assert bytes(model.teacher_sha256.tolist()) == digest
    assert model.describe()['teacher'].startswith('stage1.pth (sha256 '
                                                  + digest.hex()[:8])


def test_teacher_follows_device_and_precision(stage_one):
    model = build_discovery(stage_one)
    assert model._teacher[0].backbone.conv1.weight.dtype == torch.float64
    model.float()
    assert model._teacher[0].backbone.conv1.weight.dtype == torch.float32


def test_losses_are_those_of_the_parts(stage_one):
    model = build_discovery(stage_one)
    views, samples = make_batch()
    losses = model(views, samples, mode='loss')
    assert set(losses) == {'loss_cluster', 'loss_kd', 'known_mass',
                           'relation_entropy'}
    hidden = torch.tensor([1, 2, 5, 6, 7])
    labels = torch.arange(8) % 3
    x = [model.extract_feat(view)[-1] for view in views]
    teacher, = model._teacher
    relations = torch.stack([
        teacher(view)[hidden] * .1 for view in views])
    expected = model.head.discover(x, labels, hidden, 2, relations)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-9, atol=1e-9)
    assert 'loss_kd' not in build_discovery(stage_one, kd_weight=0.)(
        views, samples, mode='loss')


def test_distillation_has_no_gradient_for_labelled_photos(stage_one):
    model = build_discovery(stage_one)
    views, samples = make_batch()
    views = [view.requires_grad_() for view in views]
    model(views, samples, mode='loss')['loss_kd'].backward()
    seen = torch.stack([view.grad.abs().amax((1, 2, 3)) for view in views])
    labelled = torch.tensor([0, 3, 4])
    assert seen[:, [1, 2, 5, 6, 7]].gt(0).all()
    # Batch norm of the projection compares photos through w alone; take its
    # statistics away.
    model.head.eval()
    views = [view.detach().requires_grad_() for view in views]
    model(views, samples, mode='loss')['loss_kd'].backward()
    for view in views:
        assert not view.grad[labelled].any()
        assert view.grad[1].any()


def test_labels_of_unlabelled_photos_do_not_exist(stage_one):
    views, samples = make_batch()
    model = build_discovery(stage_one)
    data = model.data_preprocessor(
        dict(inputs=[torch.randint(0, 256, (8, 3, 16, 16)).byte()] * 2,
             data_samples=samples), training=True)
    assert len(data['inputs']) == 2 and (
        data['inputs'][0].is_floating_point())
    assert ['gt_label' in s for s in data['data_samples']] == [
        i not in (1, 2, 5, 6, 7) for i in range(8)]


def test_views_are_normalized_as_one_image(stage_one):
    stock = MODELS.build(dict(type='ClsDataPreprocessor', mean=[100.] * 3,
                              std=[2.] * 3, to_rgb=True))
    own = MODELS.build(dict(type='MultiViewDataPreprocessor',
                            mean=[100.] * 3, std=[2.] * 3, to_rgb=True))
    views = [torch.randint(0, 256, (2, 3, size, size)).byte()
             for size in (8, 8, 6)]
    found = own(dict(inputs=views), training=True)['inputs']
    for view, one in zip(views, found):
        assert torch.equal(stock(dict(inputs=view))['inputs'], one)
    assert torch.equal(own(dict(inputs=views[0]))['inputs'], found[0])
    single = [views[0][0], views[0][1]]  # of pseudo_collate
    assert torch.equal(own(dict(inputs=single))['inputs'], found[0])


@pytest.mark.parametrize('hidden', [(), range(8)])
def test_batches_without_one_kind_are_finite(stage_one, hidden):
    model = build_discovery(stage_one)
    losses = model(*make_batch(hidden=hidden), mode='loss')
    total(losses).backward()
    assert total(losses).isfinite()
    assert (losses['loss_kd'] == 0) == (not hidden)
    assert all(p.grad.isfinite().all() for p in model.parameters()
               if p.grad is not None)


def test_mixed_precision_is_close(stage_one):
    model = build_discovery(stage_one).float()
    views, samples = make_batch()
    views = [view.float() for view in views]
    exact = model(views, samples, mode='loss')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(views, samples, mode='loss')
    total(losses).backward()
    for name, value in exact.items():
        assert losses[name].dtype == torch.float32
        torch.testing.assert_close(losses[name], value, rtol=.05, atol=0)
    assert model.backbone.conv1.weight.grad.isfinite().all()


def test_multi_crop(stage_one):
    model = build_discovery(stage_one)
    views, samples = make_batch(views=4)
    views[2:] = [view[..., :10, :10] for view in views[2:]]
    total(model(views, samples, mode='loss')).backward()
    assert model.backbone.conv1.weight.grad.any()


def test_predicts_as_any_classifier(stage_one):
    model = build_discovery(stage_one).eval()
    (view, _), samples = make_batch()
    found = model(view, samples, mode='predict')
    assert found[0].pred_score.shape == (3 + NOVEL, )
    torch.testing.assert_close(found[0].pred_score, model(view)[0].softmax(0))


def test_resume_needs_the_same_teacher(stage_one, tmp_path):
    model = build_discovery(stage_one)
    state = model.state_dict()
    build_discovery(stage_one).load_state_dict(state)
    other = tmp_path / 'other.pth'
    content = torch.load(stage_one)
    content['meta']['epoch'] = 3
    torch.save(content, other)
    with pytest.raises(ValueError, match='another teacher .sha256.*init_cfg'):
        build_discovery(other).load_state_dict(state)
    # A test has no teacher and needs none.
    torch.manual_seed(5)
    fresh = MODELS.build(dict(
        type='NovelClassDiscovery', backbone=model.backbone, neck=model.neck,
        head=copy.deepcopy(model.head)))
    fresh.load_state_dict(state)
    assert fresh.training_only_keys == ('teacher_sha256', )


def refused(path, error, **options):
    with pytest.raises(ValueError, match=error):
        build_discovery(path, **options)


def test_checkpoints_that_are_no_stage_one(stage_one, tmp_path):
    refused(stage_one, 'it has 3 classes, expected.*num_known=4', num_known=4)
    content = torch.load(stage_one)
    del content['state_dict']['head.known.weight']
    torch.save(content, tmp_path / 'no_head.pth')
    refused(tmp_path / 'no_head.pth', 'it has no NCDHead')
    content = torch.load(stage_one)
    del content['state_dict']['backbone.conv1.weight']
    torch.save(content, tmp_path / 'part.pth')
    refused(tmp_path / 'part.pth', 'Missing key.*conv1.*same backbone')
    with pytest.raises(FileNotFoundError, match='There is no checkpoint'):
        build_discovery(tmp_path / 'absent.pth')
    refused(None, 'Train stage 1, and name its checkpoint')


def test_models_that_cannot_discover(stage_one):
    with pytest.raises(TypeError, match='NCDHead with num_novel'):
        build_discovery(stage_one, num_novel=0)
    refused(stage_one, 'Mixup', settings=dict(
        train_cfg=dict(augments=dict(type='Mixup', alpha=.2))))
    refused(stage_one, 'num_large_crops=0', settings=dict(num_large_crops=0))
    model = build_discovery(stage_one)
    views, samples = make_batch()
    for inputs in (views[:1], views[0]):
        with pytest.raises(ValueError, match='1 view.*at least 2.*MultiView'):
            model(inputs, samples, mode='loss')
    for sample in samples:
        sample.set_gt_score(torch.rand(3))
    with pytest.raises(ValueError, match='Mixup, CutMix'):
        model(views, samples, mode='loss')
    model._teacher = ()
    with pytest.raises(RuntimeError, match='init_weights'):
        model(views, samples, mode='loss')


SPLITS = [(4, 4), (6, 2), (3, 5)]


def on_rank(rank, path):
    found = []
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for sizes in SPLITS:
            model = build_discovery(path)
            model.head.eval()  # batch norm is each process's own
            wrapped = torch.nn.parallel.DistributedDataParallel(model)
            views, samples = make_batch()
            part = slice(0, sizes[0]) if rank == 0 else slice(sizes[0], None)
            losses = wrapped([view[part] for view in views], samples[part],
                             mode='loss')
            total(losses).backward()
            found.append((
                {name: p.grad for name, p in model.named_parameters()},
                model.head.head_loss))
    return found


def test_two_ranks_equal_one(stage_one, tmp_path):
    """Uneven batches, with 2 to 3 of 5 unlabelled photos on the first."""
    model = build_discovery(stage_one)
    model.head.eval()
    total(model(*make_batch(), mode='loss')).backward()
    for rank in run_ranks(on_rank, tmp_path, stage_one):
        for grads, head_loss in rank:
            torch.testing.assert_close(head_loss, model.head.head_loss)
            for name, p in model.named_parameters():
                torch.testing.assert_close(grads[name], p.grad, rtol=1e-9,
                                           atol=1e-12)


def test_samples_are_taken_as_they_are():
    """A label without a loss: one sample of each kind."""
    labels, hidden = split_labels(
        [DataSample(), DataSample().set_gt_label(2)], torch.device('cpu'))
    assert labels.tolist() == [0, 2] and hidden.tolist() == [0]


