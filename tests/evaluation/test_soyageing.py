"""The mean of SoyAgeing's five stages."""
import runpy

import pytest

SCORES = [('R1', 70.), ('R3', 72.), ('R4', 75.), ('R5', 76.), ('R6', 78.5)]


@pytest.fixture(scope='module')
def five_stage_mean(repo_root):
    tool = repo_root / 'tools/analysis_tools/soyageing_mean.py'
    return runpy.run_path(str(tool))['five_stage_mean']


def test_mean_in_any_order(five_stage_mean):
    assert five_stage_mean(SCORES) == pytest.approx(74.3)
    assert five_stage_mean(SCORES[::-1]) == five_stage_mean(SCORES)


@pytest.mark.parametrize('scores, message', [
    (SCORES[1:], 'R1 is missing'),
    (SCORES + SCORES[:1], 'R1 is there twice'),
    (SCORES[:4] + [('R2', 1.)], 'R6 is missing, R2 is no stage'),
])
def test_faults_are_named(five_stage_mean, scores, message):
    with pytest.raises(ValueError, match=message):
        five_stage_mean(scores)
