import json

import pytest
import torch

from csd_mmpretrain.evaluation.dump_predictions import DumpPredictions


def test_predictions_are_written_without_a_warning(tmp_path, capfd):
    metric = DumpPredictions(str(tmp_path / 'found.json'))
    metric.process(None, [dict(img_path='a.jpg',
                               pred_score=torch.tensor([0.25, 0.75]),
                               pred_label=torch.tensor([1]))])
    assert metric.evaluate(1) == {}
    assert json.loads((tmp_path / 'found.json').read_text()) == [
        dict(img_path='a.jpg', pred_label=[1], pred_score=[0.25, 0.75])]
    assert 'prefix' not in ''.join(capfd.readouterr())
    with pytest.raises(ValueError, match='there are only pred_label'):
        metric.process(None, [dict(pred_label=1)])
