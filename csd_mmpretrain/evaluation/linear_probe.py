"""A linear classifier on fixed features."""
from typing import Iterator, NamedTuple, Sequence

import torch
import torch.nn.functional as F

from .features import LabelledFeatures
from .similarity import unit_features

PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
# Where no class has a second image, there is nothing to choose by.
DEFAULT_PENALTY = 1e-4
FOLDS = 3
MAX_ITERATIONS = 100


class ProbeScores(NamedTuple):
    """Accuracy as a fraction, and the penalty that was chosen."""

    top1: float
    top5: float
    penalty: float


def linear_probe(train: LabelledFeatures,
                 test: LabelledFeatures) -> ProbeScores:
    """Fit multinomial logistic regression to features, and test it.

    Features are L2-normalized, then centered by the training mean. L-BFGS
    minimizes the mean cross-entropy plus penalty / 2 times the squared norm
    of the weights; the bias is free. Stratified three-fold cross-validation
    on the training images chooses one of ``PENALTIES``, of equally good ones
    the strongest. A linear probe by training gives other numbers.

    Args:
        train (LabelledFeatures): Of the training images.
        test (LabelledFeatures): Of the test images, on the same device.

    Returns:
        ProbeScores: Classes without training images count as wrong.

    Raises:
        ValueError: If features are not finite, or there is none.

    Source: L-BFGS with a penalty chosen by validation is the linear probe of
    CLIP (Radford et al. 2021); the normalization is a choice.

    Example:
        >>> import torch
        >>> same = LabelledFeatures(torch.eye(4), torch.arange(4) % 2)
        >>> linear_probe(same, same).top1
        1.0
    """
    features = unit_features('training features', train.features)
    mean = features.mean(0)
    features = features - mean
    tested = unit_features('test features', test.features) - mean
    classes, targets = train.labels.unique(return_inverse=True)
    penalty = _choose(features, targets)
    path = [p for p in PENALTIES if p > penalty] + [penalty]
    *_, weights = _fit_path(features, targets, path)
    best = _logits(tested, weights).topk(min(5, len(classes))).indices
    right = classes[best] == test.labels[:, None]
    return ProbeScores(right[:, 0].double().mean().item(),
                       right.any(1).double().mean().item(), penalty)


def _logits(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return torch.addmm(weights[-1], features, weights[:-1])


def _fit_path(features: torch.Tensor, targets: torch.Tensor,
              penalties: Sequence[float]) -> Iterator[torch.Tensor]:
    """Fit weights (C + 1, K) by falling penalties, each from the last."""
    weights = features.new_zeros(
        features.size(1) + 1, int(targets.max()) + 1, requires_grad=True)
    for penalty in penalties:
        _fit(features, targets, weights, penalty)
        yield weights.detach()


def _fit(features: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor,
         penalty: float) -> None:
    optimizer = torch.optim.LBFGS([weights],
                                  max_iter=MAX_ITERATIONS,
                                  tolerance_grad=1e-6,
                                  tolerance_change=1e-9,
                                  line_search_fn='strong_wolfe')

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(_logits(features, weights), targets)
        loss = loss + penalty / 2 * weights[:-1].square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)


def _choose(features: torch.Tensor, targets: torch.Tensor) -> float:
    """Choose the penalty by cross-validation."""
    fold = _folds(targets)
    if fold.max() < 0:
        return DEFAULT_PENALTY
    right = [0] * len(PENALTIES)
    for i in range(int(fold.max()) + 1):
        held = fold == i
        path = _fit_path(features[~held], targets[~held], PENALTIES)
        for j, weights in enumerate(path):
            found = _logits(features[held], weights).argmax(1)
            right[j] += int((found == targets[held]).sum())
    return PENALTIES[right.index(max(right))]


def _folds(targets: torch.Tensor) -> torch.Tensor:
    """Number each image within its class; single ones are in no fold."""
    order = targets.sort(stable=True).indices
    counts = targets.bincount()
    starts = counts.cumsum(0) - counts
    within = torch.empty_like(targets)
    within[order] = torch.arange(
        len(targets), device=targets.device) - starts[targets[order]]
    return torch.where(counts[targets] > 1, within % FOLDS, -1)
