"""The mean of SoyAgeing's five stages."""
import runpy
from argparse import Namespace

import pytest

SCORES = [('R1', 70.), ('R3', 72.), ('R4', 75.), ('R5', 76.), ('R6', 78.5)]


@pytest.fixture(scope='module')
def tool(repo_root):
    tool = repo_root / 'tools/analysis_tools/soyageing_mean.py'
    return Namespace(**runpy.run_path(str(tool)))


@pytest.fixture(scope='module')
def five_stage_mean(tool):
    return tool.five_stage_mean


@pytest.mark.parametrize('text, says', [
    ('{"top1": 81.5}', None), ('{"top1": NaN}', 'top1 is nan, not a finite'),
    ('{"top1": "high"}', "top1 is 'high'"), ('[1]', "has no 'top1'; it has 1"),
    ('top1: 3', 'does not load')])
def test_metrics_of_a_stage(tool, text, says, tmp_path):
    path = tmp_path / 'r1.json'
    path.write_text(text)
    read = tool.read_stage
    if says is None:
        return read(f'R1={path}', Namespace(metric='top1')) == ('R1', 81.5)
    with pytest.raises(ValueError, match=says):
        read(f'R1={path}', Namespace(metric='top1'))


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
