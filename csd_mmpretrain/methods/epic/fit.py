"""Fitting the matrix: rounds of choosing prototypes and raising purity."""
from copy import deepcopy
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import torch

from .disentanglement_matrix import DisentanglementMatrix
from .purity import check_num_prototypes, top_prototypes

# Pairs of image and channel whose maps, and whose vectors, are read at once.
_MAPS, _VECTORS = 64, 4096


class Prototypes(NamedTuple):
    """The images that excite each of D channels most.

    Attributes:
        images (Tensor): (D, m), int64, their indices, the best first.
        cells (Tensor): (D, m, 2), int64, row and column of the peak.
        purity (Tensor): (D, m), float32.
    """

    images: torch.Tensor
    cells: torch.Tensor
    purity: torch.Tensor


class Pairs(NamedTuple):
    """Pairs of an image and a channel, int64, (B,) each."""

    images: torch.Tensor
    channels: torch.Tensor


def fit_rounds(maps: torch.Tensor,
               sums: torch.Tensor,
               matrix: DisentanglementMatrix,
               counts: Sequence[int],
               epochs: int = 2,
               batch_size: int = 512,
               lr: float = 1e-3,
               weight_decay: float = 1e-5,
               seed: int = 0,
               state: Optional[Dict[str, Any]] = None
               ) -> Iterator[Dict[str, Any]]:
    """Learn the matrix that makes channels pure, round by round.

    A round chooses the prototypes of each channel with the matrix as it is.
    Then Adam raises the mean purity of all pairs of prototype and channel.

    Args:
        maps (Tensor): Z of the training images, (N, D, h, w), floating, such
            as float16; it may lie in a file.
        sums (Tensor): Their sums over the positions, (N, D), float32, on the
            device of the matrix.
        matrix (DisentanglementMatrix): It is fitted in place.
        counts (Sequence[int]): Prototypes per channel, by round.
        epochs (int): Of each round. Defaults to 2.
        batch_size (int): Pairs in a step at most. Memory does not depend on
            it. Defaults to 512.
        lr (float): Learning rate. Defaults to 1e-3.
        weight_decay (float): On W. Defaults to 1e-5.
        seed (int): Of the order of the pairs. Defaults to 0.
        state (dict, optional): What an earlier run has yielded; the next
            round follows, bit for bit. Defaults to None.

    Yields:
        dict: After each round ``round`` (from 1), ``matrix`` and
        ``optimizer`` (their states) and ``curve``, a list of one dict per
        round: ``prototypes``, ``before`` (mean purity of all pairs) and
        ``steps`` (that of each step's batch before the step).

    Raises:
        ValueError: If a setting is below 1, there are fewer images than
            prototypes, sizes do not fit, or the matrix becomes singular.

    Source: EPIC's training; batch sizes beyond 512 are a choice.

    Example:
        ::

            matrix = DisentanglementMatrix(maps.size(1))
            for state in fit_rounds(maps, maps.float().sum((2, 3)), matrix,
                                    num_prototypes(100, 5, 10)):
                print(state['round'], state['curve'][-1]['before'])
    """
    check_fit(len(maps), counts, epochs, batch_size)
    if maps.size(1) != len(matrix.raw):
        raise ValueError(
            f'The matrix is for {len(matrix.raw)} channels, but the feature '
            f'maps have {maps.size(1)}. Give one of as many.')
    optimizer = torch.optim.Adam([matrix.raw], lr, weight_decay=weight_decay)
    done, curve = 0, []
    if state is not None:
        done, curve = state['round'], list(state['curve'])
        matrix.load_state_dict(state['matrix'])
        optimizer.load_state_dict(state['optimizer'])
    for number, count in enumerate(counts):
        if number < done:
            continue
        found = find_prototypes(maps, sums, matrix, count)
        pairs = Pairs(
            found.images.flatten(),
            torch.arange(len(found.images), device=sums.device
                         ).repeat_interleave(count))
        total = len(pairs.images)
        steps = []
        for epoch in range(epochs):
            order = torch.randperm(
                total, generator=torch.Generator().manual_seed(
                    seed + 1_000_003 * (epochs * number + epoch))
            ).to(sums.device)
            for batch in order.split(batch_size):
                steps.append(_step(maps, matrix, optimizer,
                                   Pairs(*(part[batch] for part in pairs))))
        curve.append(dict(
            prototypes=count,
            before=found.purity.mean().item(),
            steps=torch.stack(steps).tolist()))
        condition_number(matrix)
        yield deepcopy(
            dict(
                round=number + 1,
                matrix=matrix.state_dict(),
                optimizer=optimizer.state_dict(),
                curve=curve))


def check_fit(images: int, counts: Sequence[int], epochs: int,
              batch_size: int) -> None:
    """Raise a ValueError if settings of a fit are impossible.

    Args:
        images (int): Training images.
        counts (Sequence[int]): Prototypes per channel, by round.
        epochs (int): Of each round.
        batch_size (int): Pairs in a step.
    """
    for name, value in (('rounds', len(counts)), ('epochs', epochs),
                        ('batch_size', batch_size)):
        if value < 1:
            raise ValueError(f'EPIC: {name}={value} must be at least 1.')
    for count in counts:
        check_num_prototypes(count, images)


@torch.no_grad()
def condition_number(matrix: DisentanglementMatrix) -> float:
    """Compute the condition number of the matrix; 1 where orthogonal.

    Args:
        matrix (DisentanglementMatrix): The fitted one.

    Returns:
        float: Largest by smallest singular value.

    Raises:
        ValueError: If float32 cannot invert the matrix.
    """
    found, number = matrix(), 1.
    if not found.isfinite().all():
        number = float('nan')
    elif not matrix.orthogonal:
        number = torch.linalg.cond(found.double()).item()
    if not number < 1e7:
        raise ValueError(
            f'The {matrix.kind} matrix cannot be inverted: its condition '
            f'number is {number:.1e}. Lower the learning rate, raise the '
            'weight decay, or use `--kind orthogonal`.')
    return number


@torch.no_grad()
def find_prototypes(maps: torch.Tensor, sums: torch.Tensor,
                    matrix: DisentanglementMatrix, num: int) -> Prototypes:
    """Choose the prototypes of all channels, and measure their purity.

    Args:
        maps (Tensor): As in :func:`fit_rounds`.
        sums (Tensor): As there.
        matrix (DisentanglementMatrix): The matrix.
        num (int): Prototypes per channel.

    Returns:
        Prototypes: On the device of ``sums``.

    Raises:
        ValueError: If there are fewer images than prototypes.
    """
    mixing = matrix()
    images = top_prototypes(sums @ mixing.mT, num)
    channels = torch.arange(len(images), device=sums.device)
    pairs = Pairs(images.flatten(), channels.repeat_interleave(num))
    cells, purity = [], []
    order = pairs.images.argsort(stable=True)
    for part in order.split(_VECTORS):
        some = Pairs(*(values[part] for values in pairs))
        vectors, flat = _peak_vectors(maps, mixing, some)
        cells.append(flat)
        purity.append(_vector_purity(vectors, some.channels, mixing,
                                     matrix.orthogonal))
    back = order.argsort()
    flat = torch.cat(cells)[back].view(-1, num)
    width = maps.size(3)
    return Prototypes(images, torch.stack([flat // width, flat % width], -1),
                      torch.cat(purity)[back].view(-1, num))


def _step(maps: torch.Tensor, matrix: DisentanglementMatrix,
          optimizer: torch.optim.Optimizer, pairs: Pairs) -> torch.Tensor:
    """Raise the purity of some pairs by one step; return their mean before.

    The gradient of U is gathered part by part, then W gets it at once. So
    memory is bounded, and the matrix is computed once per step.
    """
    mixing = matrix()
    leaf = mixing.detach().requires_grad_()
    total = len(pairs.images)
    mean = leaf.new_zeros(())
    for part in pairs.images.argsort(stable=True).split(_VECTORS):
        some = Pairs(*(values[part] for values in pairs))
        with torch.no_grad():
            vectors, _ = _peak_vectors(maps, leaf, some)
        purity = _vector_purity(vectors, some.channels, leaf,
                                matrix.orthogonal).sum() / total
        (-purity).backward()
        mean += purity.detach()
    optimizer.zero_grad()
    mixing.backward(leaf.grad)
    optimizer.step()
    return mean


def _peak_vectors(maps: torch.Tensor, mixing: torch.Tensor,
                  pairs: Pairs) -> List[torch.Tensor]:
    """Read each pair's map where its channel peaks, before the matrix.

    Returns:
        list[Tensor]: The channels there, (B, D), and the position, (B,).
    """
    found = []
    for image, channel in zip(pairs.images.split(_MAPS),
                              pairs.channels.split(_MAPS)):
        # Neighbors share images, so few maps are read.
        few, which = image.unique(return_inverse=True)
        few = maps[few.to(maps.device)].to(mixing).flatten(2)
        responses = torch.einsum('bd,ndp->bnp', mixing[channel], few)
        index = torch.arange(len(image), device=image.device)
        position = responses[index, which].argmax(1)
        found.append((few[which, :, position], position))
    return [torch.cat(parts) for parts in zip(*found)]


def _vector_purity(vectors: torch.Tensor, channels: torch.Tensor,
                   mixing: torch.Tensor, orthogonal: bool) -> torch.Tensor:
    """Compute the purity (B,) of channels of vectors (B, D) after the matrix.

    An orthogonal matrix keeps lengths, and its length has no gradient along
    orthogonal matrices: one row of it is enough then.
    """
    if orthogonal:
        values, mixed = (vectors * mixing[channels]).sum(1), vectors
    else:
        mixed = vectors @ mixing.mT
        values = mixed.gather(1, channels[:, None])[:, 0]
    return values / mixed.norm(dim=1).clamp(min=1e-8)
