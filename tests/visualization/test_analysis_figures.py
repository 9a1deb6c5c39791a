"""Figures of confusion, classes, calibration and curves: what is on them."""
import io

import numpy as np
import pytest

from csd_mmpretrain.evaluation.calibration import calibration
from csd_mmpretrain.evaluation.class_accuracy import class_accuracies
from csd_mmpretrain.visualization.class_accuracy_figure import (
    draw_class_accuracy,
)
from csd_mmpretrain.visualization.confusion_figure import draw_confusion
from csd_mmpretrain.visualization.curves_figure import draw_curves
from csd_mmpretrain.visualization.reliability_figure import draw_reliability


def counts_of(k):
    counts = 4 * np.eye(k, dtype=int)
    counts[0, k - 1] = 3
    return counts


def save(figure):
    figure.savefig(io.BytesIO(), dpi=40)


@pytest.mark.parametrize('k, names', [(2, True), (81, True), (130, False)])
def test_cells_hold_rates_and_empty_ones_nothing(k, names):
    counts = counts_of(k)
    figure = draw_confusion(counts, [f'$_{i}' for i in range(k)])
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    assert (shown.mask == (counts == 0)).all()
    assert shown[0, k - 1] == pytest.approx(3 / 7)
    assert (len(axes.get_xticks()) == k) is names
    save(figure)


def test_order_and_values():
    counts = counts_of(4)
    figure = draw_confusion(counts, 'abcd', [3, 0, 1, 2],
                            include_values=True)
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == list('dabc')
    values = {(int(t.get_position()[1]), int(t.get_position()[0])):
              t.get_text() for t in axes.texts}
    assert values == {(0, 0): '4', (1, 1): '4', (2, 2): '4', (3, 3): '4',
                      (1, 0): '3'}
    # With many classes no text could be read.
    many = draw_confusion(counts_of(150), ['x'] * 150, include_values=True)
    assert not many.axes[0].texts


def test_many_classes_have_a_mark_for_each_confusion():
    counts = counts_of(500)
    counts[7, 3] = 1
    axes = draw_confusion(counts, ['x'] * 500).axes[0]
    marks, = axes.collections
    assert sorted(map(tuple, marks.get_offsets())) == [(3, 7), (499, 0)]


@pytest.mark.parametrize('k, lines', [(1, 1), (81, 81), (500, 40)])
def test_classes_have_lines_as_long_as_they_can_be_read(k, lines):
    counts = counts_of(max(k, 2))[:k, :k]
    figure = draw_class_accuracy(
        class_accuracies(counts, [str(i) for i in range(k)]))
    assert len(figure.axes[-1].get_yticks()) == lines
    save(figure)


def test_reliability_has_a_column_for_each():
    scores = np.random.dirichlet(np.ones(4), 60)
    found = calibration(scores, np.random.randint(4, size=60))
    figure = draw_reliability({'as predicted': found, 'T': found})
    assert len(figure.axes) == 4
    counts = [bar.get_height() for bar in figure.axes[2].patches]
    assert sum(counts) == 60
    save(figure)


@pytest.mark.parametrize('length, columns', [(5, 3), (30, 2), (60, 1)])
def test_names_of_curves_are_not_cut_off(length, columns):
    figure = draw_curves({f'{i:0{length}}': [{1: 1., 2: 2.}]
                          for i in range(4)}, 'one\ntwo')
    save(figure)
    legend = figure.legends[0]
    assert legend._ncols == columns
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_curves_show_the_mean_where_all_runs_have_a_score():
    figure = draw_curves(
        {
            'plain': [{1: 10., 2: 20., 3: 90.}, {1: 20., 2: 40.}],
            'one_$': [{1: 5., 2: 6.}]
        }, 'accuracy/top1')
    axes = figure.axes[0]
    means = [line for line in axes.lines if line.get_linewidth() > 1]
    assert [list(line.get_ydata()) for line in means] == [[15, 30], [5, 6]]
    assert len(axes.collections) == 1  # a band needs two runs
    save(figure)
