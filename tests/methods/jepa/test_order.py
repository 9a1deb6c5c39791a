"""A toy on which the order of the regions decides what can be predicted."""
import torch
import torch.nn.functional as F

from csd_mmpretrain.methods.jepa import JEPA

GRID, PATCH, IMAGES = 6, 4, 16
MODEL = dict(
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=32, num_layers=1, num_heads=2,
                  feedforward_channels=64),
        img_size=GRID * PATCH,
        patch_size=PATCH,
        out_type='raw'),
    neck=dict(type='JEPAPredictor', in_channels=32, embed_dims=32, depth=2,
              num_heads=2))


class ToldSaliency(JEPA):
    """What is salient stands in the third channel of an image."""

    def look(self, images):
        scores = images[:, 2, ::PATCH, ::PATCH].flatten(1)
        return super().look(images)[0], scores


def stripes(first, second, third):
    """Images of two salient columns with codes, and the background's code."""
    images = torch.zeros(len(first), 3, GRID, GRID)
    for column, code, score in ((1, first, 1.), (4, second, .7)):
        images[:, :2, :, column] = code[:, :, None]
        images[:, 2, :, column] = score
    images[:, :2, :, 2:4] = third[:, :, None, None]
    size = GRID * PATCH
    return F.interpolate(images, (size, size))


def final_loss(draw, **targets):
    """Train the predictor for a while; the target encoder stays as it is."""
    torch.manual_seed(0)
    model = ToldSaliency(
        **MODEL, target_generator=dict(
            type='RegionTargets', num_regions=3, min_area=.1, block=0,
            start=1., blocks=dict(min_keep=3), **targets))
    model.init_weights()
    model.train()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for iteration in range(100):
        model.start_step(iteration, 1.)
        found = model.loss(draw(), None)
        assert found['steps_mean'] == 2
        optimizer.zero_grad()
        found['loss_jepa'].backward()
        optimizer.step()
        losses.append(found['loss_jepa'].item())
    return sum(losses[-20:]) / 20


def code():
    return torch.randint(2, (IMAGES, 2)) * 2. - 1


def test_the_salient_region_tells_the_other_one():
    """The first has two bits, the second repeats one of them."""
    def draw():
        bits = code()
        return stripes(bits, bits * torch.tensor([1., 0.]), 0 * bits)

    falling, drawn, rising = (
        final_loss(draw, order=order)
        for order in ('falling', 'random', 'rising'))
    assert falling < 0.5 * rising
    assert falling < drawn < rising


def test_what_comes_later_needs_all_that_was_before():
    """The background repeats the second region, of which nothing tells."""
    def draw():
        bits = code()
        return stripes(code(), bits, bits)

    assert final_loss(draw) < 0.6 * final_loss(draw, sequence=False)
