"""Which batch a card holds."""
import pytest
import torch
from mmengine.config import Config

from csd_mmpretrain.benchmark import card_memory
from csd_mmpretrain.benchmark.card_memory import card_table, largest_batch
from csd_mmpretrain.benchmark.host_waits import wait_table
from csd_mmpretrain.benchmark.step_benchmark import StepSetting


@pytest.mark.parametrize('fixed, per_image', [(3000, 400), (10, 1), (0, 9)])
@pytest.mark.parametrize('card', [1, 8, 16, 24])
@pytest.mark.parametrize('sizes', [(2, 6), (12, 4)])
def test_the_batch_fits_and_a_larger_one_does_not(fixed, per_image, card,
                                                  sizes):
    batch = largest_batch({size: fixed + size * per_image for size in sizes},
                          card)
    usable = 1024 * card - 1024
    assert batch == 0 or fixed + batch * per_image <= usable
    assert fixed + (batch + 1) * per_image > usable


def test_a_card_too_small_holds_none():
    assert largest_batch({2: 9000., 6: 9400.}, 8) == 0


def test_the_table_has_both_models_and_all_cards(monkeypatch, tiny_config):
    peaks = []
    monkeypatch.setattr(card_memory, 'peak_memory', lambda setting, name: (
        peaks.append((setting.batch_size, name)), 1000. + 100 * len(peaks))[1])
    setting = StepSetting(Config.fromfile(tiny_config), 4, 32, name='CSDNet')
    lines = card_table(setting).splitlines()
    assert [size for size, _ in peaks] == [2, 6, 2, 6]
    assert lines[0].endswith('| batch 2 | batch 6 | 8 GB | 16 GB | 24 GB |')
    assert lines[3] == '| CSDNet | 1300 | 1400 | 236 | 564 | 892 |'


def test_reads_of_the_host_are_counted(monkeypatch, tiny_config):
    """One value that our view reads more is one more in the table."""
    cfg = Config.fromfile(tiny_config)
    setting = StepSetting(cfg, 4, 32, name='CSDNet')

    def counts():
        _, _, *lines = wait_table(setting, 1).splitlines()
        rows = [line.split(' | ') for line in lines]
        return {row[0][2:]: float(row[1]) for row in rows}

    before = counts()
    assert list(before) == ['the plain classifier', 'two plain passes',
                            'CSDNet']
    from csd_mmpretrain.methods.csdnet.ssdt_loss import SSDTLoss
    forward = SSDTLoss.forward
    monkeypatch.setattr(SSDTLoss, 'forward', lambda self, *args: (
        torch.ones(()).item(), forward(self, *args))[1])
    after = counts()
    assert after['CSDNet'] == before['CSDNet'] + 1
    assert after['two plain passes'] == before['two plain passes']
