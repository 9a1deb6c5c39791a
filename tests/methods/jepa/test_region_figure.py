"""The figure of contexts and targets."""
import pytest
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from test_jepa import REGIONS, build, smooth_images

from csd_mmpretrain.methods.jepa.region_figure import (
    draw_regions,
    region_maps,
)


def items(count):
    return [dict(inputs=image, data_samples=DataSample())
            for image in smooth_images(count)]


def test_maps_tell_what_the_step_does():
    model = build(REGIONS).eval()
    maps = region_maps(model, items(5))
    for row in maps:
        assert row.image.shape == (64, 64, 3)
        assert (row.regions.sum(0) == 1).all()
        seen = row.regions[row.regions.any((1, 2))]
        assert len(row.steps) == len(seen) - 1
        for i, (context, target) in enumerate(row.steps):
            assert (context == seen[:i + 1].any(0)).all()
            assert (target == seen[i + 1]).all()


def test_blocks_have_no_regions():
    row, = region_maps(build().eval(), items(1))
    assert row.saliency is None and len(row.steps) == 4


def test_every_image_is_a_row():
    pytest.importorskip('matplotlib')
    figure = draw_regions(region_maps(build(REGIONS).eval(), items(2)))
    titles = [axes.get_title(loc='left') for axes in figure.axes]
    assert titles.count('regions, mean saliency') == 2


def test_another_model():
    other = MODELS.build(dict(
        type='ImageClassifier', backbone=dict(type='LeNet5')))
    with pytest.raises(TypeError, match='ImageClassifier.*configs/jepa'):
        region_maps(other, items(1))
