import pytest

from csd_mmpretrain.methods.epic.prototype_schedule import num_prototypes


def test_the_schedules_of_the_published_code(oracle):
    names = dict(lin='code', exp='code_exp', log='code_log')
    for key, known in oracle('epic/num_prototypes').items():
        name, *numbers = key.split('_')
        assert num_prototypes(*map(int, numbers),
                              names[name]) == known.tolist()


@pytest.mark.parametrize('start, end, rounds', [(100, 5, 10), (8, 3, 5),
                                                (3, 8, 4), (4, 4, 3),
                                                (9, 2, 2), (6, 2, 1)])
def test_the_default_goes_from_start_to_end(start, end, rounds):
    found = num_prototypes(start, end, rounds)
    assert len(found) == rounds and found[-1] == end
    assert rounds == 1 or found[0] == start
    for r in range(1, rounds):
        exact = start + (end - start) * r / (rounds - 1)
        assert abs(found[r] - exact) <= 0.5 + 1e-9


@pytest.mark.parametrize('options', [(0, 5, 10), (5, 0, 10), (5, 5, 0)])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(ValueError, match='at least 1'):
        num_prototypes(*options)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="schedule='cosine'"):
        num_prototypes(5, 2, 3, 'cosine')
