"""The head: the reference's numbers, both stages, and what it refuses."""
import time

import pytest
import torch
from discovery_models import HEAD, build
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from csd_mmpretrain.methods.crkd.ncd_head import NCDHead


def test_equals_the_reference(oracle):
    found = {name: torch.from_numpy(value)
             for name, value in oracle('cr_kd/heads').items()}
    head = NCDHead(3, 6, num_novel=4, hidden_channels=5, embed_dims=3)
    head.double().train()
    state = {'known.weight': found['head_lab.prototypes.weight']}
    for h in range(2):
        for name in ('0.weight', '0.bias', '1.weight', '1.bias', '3.weight',
                     '3.bias'):
            state[f'novel.{h}.projection.{name}'] = found[
                f'head_unlab.projectors.{h}.mlp.{name}']
        state[f'novel.{h}.prototypes.weight'] = found[
            f'head_unlab.prototypes.{h}.prototypes.weight']
    missing = head.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    x = found['features']
    compare = dict(rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(head.known_cosines(x), found['logits_known'],
                               **compare)
    torch.testing.assert_close(head.novel_cosines(x), found['logits_novel'],
                               **compare)
    both = head.cosines(x)
    assert torch.equal(both[1, :, :3], both[0, :, :3])
    torch.testing.assert_close(both[1, :, 3:], found['logits_novel'][1],
                               **compare)
    torch.testing.assert_close(
        head.novel[1].projection(x) / head.novel[1].projection(x).norm(
            dim=1, keepdim=True), found['projected'][1], **compare)


def test_stage_one_is_cross_entropy_of_cosines():
    model = build(dict(type='ImageClassifier', head=HEAD)).train()
    images = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    samples = [DataSample().set_gt_label(i % 3) for i in range(4)]
    x = model.extract_feat(images)[-1]
    weight = model.head.known.weight
    torch.testing.assert_close(weight.norm(dim=1), weight.new_ones(3))
    cosines = torch.nn.functional.cosine_similarity(
        x[:, None], weight[None], -1)
    loss = torch.nn.functional.cross_entropy(
        cosines / .1, torch.arange(4) % 3)
    torch.testing.assert_close(
        model(images, samples, mode='loss')['loss'], loss)
    torch.testing.assert_close(model(images), cosines / .1)
    predicted = model.eval()(images, samples, mode='predict')
    assert model.head.num_classes == 3
    assert predicted[0].pred_score.shape == (3, )


def test_scores_are_those_of_the_best_head():
    head = NCDHead(3, 6, num_novel=2, num_heads=3, hidden_channels=5,
                   embed_dims=4).eval()
    head.head_loss.copy_(torch.tensor([.3, .1, .2]))
    x = torch.randn(4, 6)
    torch.testing.assert_close(head((x, )), head.cosines(x)[1] / .1)
    sample = head.predict((x, ))[0]
    assert sample.pred_score.shape == (5, )
    torch.testing.assert_close(sample.pred_score.sum(), torch.tensor(1.))


def test_one_head_is_that_head(stage_one):
    """The loss with one head is that of the first of two, alone."""
    torch.manual_seed(0)
    both = NCDHead(3, 6, num_novel=2, num_heads=2, hidden_channels=5,
                   embed_dims=4).double()
    one = NCDHead(3, 6, num_novel=2, num_heads=1, hidden_channels=5,
                  embed_dims=4).double()
    one.load_state_dict({k: v for k, v in both.state_dict().items()
                         if 'novel.1' not in k and k != 'head_loss'},
                        strict=False)
    views = list(torch.randn(2, 6, 6, dtype=torch.float64))
    labels, hidden = torch.arange(6) % 3, torch.tensor([0, 3, 4])
    teacher = torch.rand(2, 3, 3, dtype=torch.float64)
    losses = one.discover(views, labels, hidden, 2, teacher)
    both.discover(views, labels, hidden, 2, teacher)
    torch.testing.assert_close(  # after one step from 0
        both.head_loss[0], .01 * losses['loss_cluster'].detach())
    torch.testing.assert_close(one.head_loss[0], both.head_loss[0])


def test_without_class_relation_it_is_uno(oracle):
    """kd_weight=0 leaves the swapped prediction, whatever the teacher."""
    torch.manual_seed(0)
    views = list(torch.randn(2, 6, 6))
    labels, hidden = torch.arange(6) % 3, torch.tensor([0, 3, 4])
    head = NCDHead(3, 6, num_novel=2, hidden_channels=5, embed_dims=4)
    alone = head.discover(views, labels, hidden)
    assert 'loss_kd' not in alone
    with_kd = head.discover(views, labels, hidden, 2, torch.rand(2, 3, 3))
    assert torch.equal(alone['loss_cluster'], with_kd['loss_cluster'])


@pytest.mark.parametrize('options, error', [
    (dict(num_known=0), 'num_known=0 must be at least 1'),
    (dict(num_novel=-1), 'num_novel=-1 must be at least 0'),
    (dict(num_heads=0), 'num_heads=0 must be at least 1'),
    (dict(temperature=0), 'temperature=0 divides cosines'),
    (dict(epsilon=-.1), 'epsilon=-0.1 divides cosines'),
    (dict(kd_temperature=0), 'kd_temperature=0 divides cosines'),
    (dict(kd_weight=-1), 'kd_weight=-1 must not be negative')])
def test_numbers_out_of_range(options, error):
    with pytest.raises(ValueError, match=error):
        MODELS.build(dict(HEAD, **options))


def test_features_that_are_no_vectors():
    head = NCDHead(3, 6)
    for feature in (torch.rand(2, 6, 4, 4), torch.rand(2, 5, 6),
                    torch.rand(2, 7)):
        with pytest.raises(ValueError, match='GlobalAveragePooling.*cls_tok'):
            head((feature, ))


def test_clusters_need_discovery():
    head = NCDHead(3, 6, num_novel=2)
    with pytest.raises(TypeError, match='NovelClassDiscovery'):
        head.loss((torch.rand(2, 6), ), [DataSample().set_gt_label(0)] * 2)


def test_the_objective_costs_little():
    """Below 3 % of the networks' passes, of which MobileNetV2's are most."""
    size = 16
    head = NCDHead(41, 1280, num_novel=40, hidden_channels=512,
                   embed_dims=128)
    backbone = MODELS.build(dict(type='MobileNetV2'))
    backbone.train()
    images, x = torch.rand(size, 3, 96, 96), list(torch.randn(2, size, 1280))
    labels, hidden = torch.arange(size) % 41, torch.arange(0, size, 2)
    teacher = torch.rand(2, len(hidden), 41)

    def seconds(run, times):
        best = float('inf')
        for _ in range(times):
            start = time.process_time()
            run()
            best = min(best, time.process_time() - start)
        return best

    def objective():
        losses = head.discover(x, labels, hidden, 2, teacher)
        (losses['loss_cluster'] + losses['loss_kd']).backward()

    heads = seconds(
        lambda: sum(head.cosines(view).sum() for view in x).backward(), 5)
    passes = 2 * seconds(lambda: backbone(images)[-1].mean().backward(), 2)
    assert seconds(objective, 5) - heads < 0.03 * passes
