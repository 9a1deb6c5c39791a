"""The terms of ST-ProtoPNet's objective, besides the cross entropy.

The prototypes of a class are next to each other, with as many in each class.
"""
import torch


def _by_class(x: torch.Tensor, dim: int, num_classes: int) -> torch.Tensor:
    """Split the dimension of the prototypes into (C, K)."""
    size = x.size(dim)
    if num_classes < 2 or size % num_classes:
        raise ValueError(
            f'{size} prototypes of {num_classes} classes: each class needs '
            'as many as the others, and prototypes are told from those of '
            'other classes. Give at least two classes, and a multiple of '
            'their number.')
    return x.unflatten(dim, (num_classes, -1))


def _other_classes(pairs: torch.Tensor) -> torch.Tensor:
    """Take what stands off the diagonal of (C, C, ...), as one vector."""
    off = ~torch.eye(len(pairs), dtype=torch.bool, device=pairs.device)
    return pairs[off]


def cluster(activation: torch.Tensor, labels: torch.Tensor,
            num_classes: int) -> torch.Tensor:
    r"""Average the strongest activation of the own class over the images.

    :math:`\frac1B \sum_i \max_{j \in y_i} a_{ij}`, to be maximized.

    Args:
        activation (Tensor): (B, C * K), floating.
        labels (Tensor): (B, ), int64.
        num_classes (int): C.

    Returns:
        Tensor: A scalar.

    Raises:
        ValueError: If the prototypes are not C * K, or C is below 2.

    Source: ST-ProtoPNet's clustering, Clst. The maximum is taken over the
    own class alone, also where all its activations are negative.

    Example:
        >>> import torch
        >>> cluster(torch.tensor([[1., 3., 5., 7.]]), torch.tensor([0]), 2)
        tensor(3.)
    """
    strongest = _by_class(activation, 1, num_classes).max(2).values
    return strongest.gather(1, labels[:, None]).mean()


def separation(activation: torch.Tensor, labels: torch.Tensor,
               num_classes: int) -> torch.Tensor:
    r"""Average the strongest activation of other classes over the images.

    :math:`\frac1B \sum_i \max_{j \notin y_i} a_{ij}`, to be minimized.

    Args:
        activation (Tensor): (B, C * K), floating.
        labels (Tensor): (B, ), int64.
        num_classes (int): C.

    Returns:
        Tensor: A scalar.

    Raises:
        ValueError: As :func:`cluster`.

    Source: ST-ProtoPNet's separation, Sep.

    Example:
        >>> import torch
        >>> separation(torch.tensor([[1., 3., 5., 7.]]), torch.tensor([0]), 2)
        tensor(7.)
    """
    strongest = _by_class(activation, 1, num_classes).max(2).values
    others = strongest.scatter(1, labels[:, None], -torch.inf)
    return others.max(1).values.mean()


def orthogonality(prototypes: torch.Tensor, num_classes: int) -> torch.Tensor:
    r"""Sum the absolute products of the prototypes within each class.

    :math:`\sum_c \sum_{i \ne j} |p_{ci} \cdot p_{cj}|`.

    Args:
        prototypes (Tensor): (C * K, D), of length 1.
        num_classes (int): C.

    Returns:
        Tensor: A scalar.

    Raises:
        ValueError: As :func:`cluster`.

    Source: ST-ProtoPNet's orthonormality,
    :math:`\sum_c \|P_c P_c^T - I\|_1`. Its diagonal is left out (choice): at
    length 1 it is 0 and its slope is rounding noise.

    Example:
        >>> import torch
        >>> orthogonality(torch.eye(4), 2)
        tensor(0.)
    """
    blocks = _by_class(prototypes, 0, num_classes)
    products = (blocks @ blocks.mT).movedim(0, -1)
    return _other_classes(products).abs().sum()


def discrimination(prototypes: torch.Tensor,
                   num_classes: int) -> torch.Tensor:
    """Average the largest product of prototypes over the pairs of classes.

    Minimized, it drives prototypes of different classes apart.

    Args:
        prototypes (Tensor): (C * K, D), of length 1.
        num_classes (int): C.

    Returns:
        Tensor: A scalar.

    Raises:
        ValueError: As :func:`cluster`.

    Source: ST-ProtoPNet's term for trivial prototypes.

    Example:
        >>> import torch
        >>> discrimination(torch.ones(2, 1), 2)
        tensor(1.)
    """
    return _products_by_classes(prototypes, num_classes).amax(1).mean()


def closeness(prototypes: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Average the smallest product of prototypes over the pairs of classes.

    Its negative: minimized, it pulls even the farthest prototypes of two
    classes together, towards the boundary between the classes.

    Args:
        prototypes (Tensor): (C * K, D), of length 1.
        num_classes (int): C.

    Returns:
        Tensor: A scalar.

    Raises:
        ValueError: As :func:`cluster`.

    Source: ST-ProtoPNet's term for support prototypes.

    Example:
        >>> import torch
        >>> closeness(torch.ones(2, 1), 2)
        tensor(-1.)
    """
    return -_products_by_classes(prototypes, num_classes).amin(1).mean()


def _products_by_classes(prototypes: torch.Tensor,
                         num_classes: int) -> torch.Tensor:
    """Give the products of two classes a row, (C * (C - 1), K * K)."""
    products = _by_class(prototypes @ prototypes.mT, 1, num_classes)
    products = _by_class(products, 0, num_classes).transpose(1, 2)
    return _other_classes(products).flatten(1)


def off_class_l1(weight: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Sum the absolute weights of prototypes of other classes.

    Args:
        weight (Tensor): (C, C * K), of the last layer.
        num_classes (int): C.

    Returns:
        Tensor: A scalar.

    Raises:
        ValueError: As :func:`cluster`.

    Source: ST-ProtoPNet's L1 term, which acts in the last stage.

    Example:
        >>> import torch
        >>> off_class_l1(torch.ones(2, 6), 2)
        tensor(6.)
    """
    return _other_classes(_by_class(weight, 1, num_classes)).abs().sum()


def initial_last_layer(num_classes: int, num_prototypes: int) -> torch.Tensor:
    """Give each class 1 for its own prototypes and -0.5 for all others.

    Args:
        num_classes (int): C.
        num_prototypes (int): K, of a class.

    Returns:
        Tensor: (C, C * K), float32.

    Source: ST-ProtoPNet's code.

    Example:
        >>> initial_last_layer(2, 1)
        tensor([[ 1.0000, -0.5000],
                [-0.5000,  1.0000]])
    """
    own = torch.eye(num_classes).repeat_interleave(num_prototypes, 1)
    return 1.5 * own - 0.5
