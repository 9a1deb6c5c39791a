"""Retrieval of many features against the whole matrix of similarities."""
import time
from typing import Callable, List, NamedTuple, Tuple

import numpy as np
import torch

from csd_mmpretrain.evaluation.retrieval import RankedPositives, rank_positives
from csd_mmpretrain.evaluation.similarity import unit_features
from csd_mmpretrain.utils.measure import peak_growth

HEADER = ('', 'seconds', 'peak memory in MiB')


class RetrievalSetting(NamedTuple):
    """What is measured.

    Attributes:
        num (int): Queries, and gallery items.
        channels (int): Of a feature.
        num_classes (int): Classes that the items are drawn from.
        memory (float): MiB for a block of similarities.
        device (str): ``'cpu'`` or ``'cuda'``.
    """

    num: int
    channels: int
    num_classes: int
    memory: float
    device: str


class RetrievalCost(NamedTuple):
    """What a ranking takes.

    Attributes:
        seconds (float): Its time.
        mebibytes (float): How far memory grows meanwhile.
        ranked (RankedPositives): Its result.
    """

    seconds: float
    mebibytes: float
    ranked: RankedPositives


def make_features(
        setting: RetrievalSetting) -> Tuple[Tuple[torch.Tensor, ...], ...]:
    """Draw features of classes that overlap.

    Args:
        setting (RetrievalSetting): Sizes and device.

    Returns:
        tuple: Features and labels of the queries, then of the gallery.
    """
    generator = torch.Generator().manual_seed(0)
    shape = setting.num_classes, setting.channels
    centres = 0.2 * torch.randn(shape, generator=generator)

    def draw() -> Tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(
            setting.num_classes, (setting.num, ), generator=generator)
        noise = torch.randn(
            setting.num, setting.channels, generator=generator)
        return (noise.add_(centres[labels]).to(setting.device),
                labels.to(setting.device))

    return draw(), draw()


def measure_blocks(setting: RetrievalSetting) -> RetrievalCost:
    """Measure ``rank_positives``.

    Args:
        setting (RetrievalSetting): Sizes, memory and device.

    Returns:
        RetrievalCost: Time, memory and result.
    """
    queries, gallery = make_features(setting)
    first = [part[:1] for part in (*queries, *gallery)]
    rank_positives(*first)  # a GPU loads its libraries in the first call
    return _measure(
        lambda: rank_positives(*queries, *gallery, memory=setting.memory),
        setting.device)


def measure_reference(setting: RetrievalSetting) -> RetrievalCost:
    """Measure the plain way: the whole matrix, and a full sort of each row.

    Args:
        setting (RetrievalSetting): Sizes and device.

    Returns:
        RetrievalCost: Time, memory and result.
    """
    (queries, query_labels), (gallery, labels) = make_features(setting)

    def rank() -> RankedPositives:
        cosines = unit_features('queries', queries) @ unit_features(
            'gallery', gallery).T
        cosines, names = cosines.cpu().numpy(), labels.cpu().numpy()
        first, precision, counts = [], [], []
        for row, label in zip(cosines, query_labels.tolist()):
            hits = names == label
            # A stable sort leaves equally similar ones of others in front.
            order = hits.argsort(kind='stable')
            order = order[(-row[order]).argsort(kind='stable')]
            ranks = np.flatnonzero(hits[order]) + 1
            first.append(ranks[0] if len(ranks) else 0)
            counts.append(len(ranks))
            precision.append(
                (np.arange(1, len(ranks) + 1) / ranks).mean()
                if len(ranks) else np.nan)
        return RankedPositives(*map(torch.tensor, (first, precision, counts)))

    return _measure(rank, setting.device)


def _measure(rank: Callable[[], RankedPositives],
             device: str) -> RetrievalCost:
    found = []

    def work() -> None:
        start = time.perf_counter()
        found.append(rank())
        if device != 'cpu':
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)

    grown = peak_growth(work, device)
    ranked = RankedPositives(*(part.cpu() for part in found[0]))
    return RetrievalCost(found[1], grown, ranked)


def compare_ranks(blocks: RankedPositives,
                  reference: RankedPositives) -> Tuple[int, float]:
    """Tell how far two rankings differ.

    Args:
        blocks (RankedPositives): One.
        reference (RankedPositives): The other, of the same queries.

    Returns:
        tuple[int, float]: Queries with another first rank, and the largest
        difference of their average precision.
    """
    difference = blocks.average_precision - reference.average_precision
    return (int((blocks.first != reference.first).sum()),
            float(difference.nan_to_num().abs().max()))


def cost_row(name: str, cost: RetrievalCost) -> List[str]:
    """Make a row of the table.

    Args:
        name (str): What was measured.
        cost (RetrievalCost): Its cost.

    Returns:
        list[str]: Cells under ``HEADER``.
    """
    return [name, f'{cost.seconds:.1f}', f'{cost.mebibytes:.0f}']
