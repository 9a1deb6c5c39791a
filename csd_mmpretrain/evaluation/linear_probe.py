"""A linear classifier on features that stay as they are."""
from typing import List, NamedTuple, Sequence

import torch
import torch.nn.functional as F

from .similarity import unit_features

PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
# Where no class has a second image, there is nothing to choose by.
DEFAULT_PENALTY = 1e-4
FOLDS = 3
MAX_ITERATIONS = 100


class ProbeScores(NamedTuple):
    """What a linear classifier reads off features.

    Attributes:
        top1 (float): Part of the test images that are right.
        top5 (float): Part with the right class among the best five.
        penalty (float): The weight of the squared norm that cross-validation
            has chosen.
    """

    top1: float
    top5: float
    penalty: float


def linear_probe(train: torch.Tensor,
                 train_labels: torch.Tensor,
                 test: torch.Tensor,
                 test_labels: torch.Tensor,
                 penalties: Sequence[float] = PENALTIES) -> ProbeScores:
    """Fit multinomial logistic regression to features, and test it.

    Features are divided by their L2 norm, and the mean of the training
    features is taken off. The mean cross-entropy plus penalty / 2 times the
    squared norm of the weights is minimised with L-BFGS; the bias is free.
    The penalty is chosen by stratified cross-validation (three folds) among
    the training images alone; of equally good ones the strongest. A linear
    probe by training, with augmentation, gives other numbers.

    Args:
        train (Tensor): (N, C), floating, on any device.
        train_labels (Tensor): (N,), int64, 0 or more.
        test (Tensor): (M, C), floating, on the same device.
        test_labels (Tensor): (M,), int64.
        penalties (Sequence[float]): To choose from. Defaults to 1e-2 to
            1e-7 in steps of ten.

    Returns:
        ProbeScores: Test images of a class that has no training image count
        as wrong.

    Raises:
        ValueError: If features are not finite, or there is none.

    Source: L-BFGS with a penalty chosen by validation is the linear probe of
    CLIP (Radford et al. 2021); the normalisation is a choice.

    Example:
        >>> import torch
        >>> x, y = torch.eye(4), torch.tensor([0, 1, 0, 1])
        >>> linear_probe(x, y, x, y).top1
        1.0
    """
    device = train.device
    train = unit_features('training features', train)
    mean = train.mean(0)
    train = train - mean
    test = unit_features('test features', test) - mean
    classes, targets = train_labels.to(device).unique(return_inverse=True)
    penalties = sorted(penalties, reverse=True)
    penalty = _choose(train, targets, penalties) or DEFAULT_PENALTY
    path = [p for p in penalties if p > penalty] + [penalty]
    *_, weights = fit_path(train, targets, len(classes), path)
    best = classes[scores(test, weights).topk(min(5, len(classes))).indices]
    right = best == test_labels.to(device)[:, None]
    return ProbeScores(right[:, 0].double().mean().item(),
                       right.any(1).double().mean().item(), penalty)


def fit_path(features: torch.Tensor, targets: torch.Tensor, num_classes: int,
             penalties: Sequence[float]) -> List[torch.Tensor]:
    """Fit with one penalty after another, each from the one before.

    Args:
        features (Tensor): (N, C), float32.
        targets (Tensor): (N,), int64, 0 to ``num_classes`` - 1.
        num_classes (int): K.
        penalties (Sequence[float]): Falling.

    Returns:
        list[Tensor]: (C + 1, K) for each; the last row is the bias.
    """
    weights = features.new_zeros(features.size(1) + 1, num_classes)
    found = []
    for penalty in penalties:
        weights = _fit(features, targets, weights, penalty)
        found.append(weights)
    return found


def scores(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the logits of features.

    Args:
        features (Tensor): (N, C).
        weights (Tensor): (C + 1, K), of :func:`fit_path`.

    Returns:
        Tensor: (N, K).
    """
    return torch.addmm(weights[-1], features, weights[:-1])


def _fit(features: torch.Tensor, targets: torch.Tensor, start: torch.Tensor,
         penalty: float) -> torch.Tensor:
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights],
                                  max_iter=MAX_ITERATIONS,
                                  tolerance_grad=1e-6,
                                  tolerance_change=1e-9,
                                  line_search_fn='strong_wolfe')

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(scores(features, weights), targets)
        loss = loss + penalty / 2 * weights[:-1].square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weights.detach()


def _choose(features: torch.Tensor, targets: torch.Tensor,
            penalties: Sequence[float]) -> float:
    """Choose the penalty by cross-validation; 0 if there is none to do."""
    fold = _folds(targets)
    if fold.max() < 1:
        return 0
    num_classes = int(targets.max()) + 1
    right = torch.zeros(len(penalties), device=features.device)
    for i in range(FOLDS):
        held = fold == i
        if not held.any():
            continue
        path = fit_path(features[~held], targets[~held], num_classes,
                        penalties)
        for j, weights in enumerate(path):
            found = scores(features[held], weights).argmax(1)
            right[j] += (found == targets[held]).sum()
    return penalties[int(right.argmax())]


def _folds(targets: torch.Tensor) -> torch.Tensor:
    """Number each image within its class; single ones are in no fold."""
    order = targets.sort(stable=True).indices
    counts = targets.bincount()
    starts = counts.cumsum(0) - counts
    within = torch.empty_like(targets)
    within[order] = torch.arange(
        len(targets), device=targets.device) - starts[targets[order]]
    return torch.where(counts[targets] > 1, within % FOLDS, -1)
