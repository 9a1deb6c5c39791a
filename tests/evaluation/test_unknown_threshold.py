"""When an answer is "unknown", and how often that is wrong."""
import numpy as np
import pytest

from csd_mmpretrain.evaluation.unknown_threshold import (
    choose_threshold,
    load_threshold,
    save_threshold,
)


@pytest.mark.parametrize('count, others', [(20, 1), (37, 15), (200, 64)])
@pytest.mark.parametrize('rate', [0.05, 0.1, 0.5])
def test_rates_are_those_of_a_count(count, others, rate):
    # Few different values, so that many are equal.
    known = np.random.randint(20, 60, count) / 64
    unknown = np.random.randint(0, 50, others) / 64
    found = choose_threshold(known, rate, unknown)
    assert found.known == count and found.unknown == others
    assert found.false_reject == (known < found.threshold).mean() <= rate
    # No higher one among the scores would keep the rate.
    assert all((known < score).mean() > rate
               for score in known if score > found.threshold)
    assert found.false_accept == (unknown >= found.threshold).mean()
    pairs = [(a > b) + (a == b) / 2 for a in known for b in unknown]
    assert found.auroc == pytest.approx(np.mean(pairs))


def test_without_photos_of_other_things():
    found = choose_threshold(np.linspace(0, 1, 40), 0.05)
    assert found[3:] == (0, None, None)


@pytest.mark.parametrize('count, rate, least', [
    (19, 0.05, 20), (3, 0.3, 4), (10, 0, 'some'), (10, 1, 1)])
def test_too_few_photos_support_no_threshold(count, rate, least):
    with pytest.raises(ValueError, match=f'supports no threshold. Give at '
                       f'least {least} photos'):
        choose_threshold(np.random.rand(count), rate)


def test_a_threshold_is_of_one_checkpoint(tmp_path):
    models = [tmp_path / 'a.pth', tmp_path / 'b.pth']
    for model in models:
        model.write_text(model.name)
    chosen = choose_threshold(np.random.rand(40).astype(np.float32), 0.1)
    path = str(tmp_path / 'unknown.json')
    save_threshold(path, chosen, str(models[0]))
    assert load_threshold(path, str(models[0])) == chosen.threshold
    assert load_threshold('0.25', str(models[1])) == 0.25
    with pytest.raises(ValueError, match='a.*chosen for the checkpoint with'):
        load_threshold(path, str(models[1]))


@pytest.mark.parametrize('text', ['2', '-0.1', 'nan', 'half'])
def test_bad_numbers(text):
    with pytest.raises(ValueError, match='a probability between 0 and 1'):
        load_threshold(text, 'any.pth')


def test_bad_files(tmp_path):
    path = tmp_path / 'unknown.json'
    with pytest.raises(FileNotFoundError, match='there is no file'):
        load_threshold(str(path), 'any.pth')
    for text in ('{"accuracy/top1": 5}', '[]', '{"threshold": NaN}',
                 '{"threshold": 7.5}', '{"threshold": -1.0}'):
        path.write_text(text)
        with pytest.raises(ValueError, match='holds no threshold'):
            load_threshold(str(path), 'any.pth')
