"""The mean of SoyAgeing's five stages."""
import pytest

from csd_mmpretrain.evaluation.soyageing import five_stage_mean

SCORES = [('R1', 70.), ('R3', 72.), ('R4', 75.), ('R5', 76.), ('R6', 78.5)]


def test_mean_in_any_order():
    assert five_stage_mean(SCORES) == pytest.approx(74.3)
    assert five_stage_mean(SCORES[::-1]) == five_stage_mean(SCORES)


@pytest.mark.parametrize('scores, message', [
    (SCORES[1:], 'R1 is missing'),
    (SCORES + SCORES[:1], 'R1 is there twice'),
    (SCORES[:4] + [('R2', 1.)], 'R6 is missing, R2 is no stage'),
])
def test_faults_are_named(scores, message):
    with pytest.raises(ValueError, match=message):
        five_stage_mean(scores)
