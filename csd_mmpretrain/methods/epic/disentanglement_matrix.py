"""The matrix that mixes channels anew, and its inverse."""
from typing import Tuple

import torch
from torch import nn

KINDS = ('orthogonal', 'invertible')
PARAMETRIZATIONS = ('exp', 'cayley')


def orthogonal_exp(raw: torch.Tensor) -> torch.Tensor:
    """Make an orthogonal matrix of any: exp(W - W^T).

    Args:
        raw (Tensor): W, (D, D), floating.

    Returns:
        Tensor: (D, D); its inverse is its transpose.

    Source: EPIC, the orthogonal matrix.
    """
    return torch.linalg.matrix_exp(raw - raw.mT)


def orthogonal_cayley(raw: torch.Tensor) -> torch.Tensor:
    """Make an orthogonal matrix of any: (I - S/2)^-1 (I + S/2), S = W - W^T.

    It equals :func:`orthogonal_exp` to second order and needs one solution
    of a linear system in place of an exponential.

    Args:
        raw (Tensor): W, (D, D), floating.

    Returns:
        Tensor: (D, D); its inverse is its transpose.
    """
    half = (raw - raw.mT) / 2
    identity = torch.eye(len(raw), dtype=raw.dtype, device=raw.device)
    return torch.linalg.solve(identity - half, identity + half)


def invertible_exp(raw: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Make an invertible matrix of any: exp(W).

    Args:
        raw (Tensor): W, (D, D), floating.

    Returns:
        tuple[Tensor, Tensor]: The matrix and its inverse exp(-W).

    Source: EPIC, the invertible matrix.
    """
    return torch.linalg.matrix_exp(raw), torch.linalg.matrix_exp(-raw)


class DisentanglementMatrix(nn.Module):
    """The learned matrix U, the identity at first.

    Args:
        dim (int): Channels D of the feature map.
        kind (str): ``'orthogonal'`` or ``'invertible'``. Defaults to
            ``'orthogonal'``.
        parametrization (str): ``'exp'``, the paper's, or ``'cayley'``, which
            is much faster above 1000 channels on a CPU and is for orthogonal
            matrices alone. Defaults to ``'exp'``.

    Raises:
        ValueError: For an unknown option, no channel, or an invertible
            matrix by ``'cayley'``.

    Source: EPIC; ``'cayley'`` is a choice.

    Example:
        >>> matrix = DisentanglementMatrix(4)
        >>> bool((matrix() == torch.eye(4)).all())
        True
    """

    def __init__(self,
                 dim: int,
                 kind: str = 'orthogonal',
                 parametrization: str = 'exp') -> None:
        super().__init__()
        for name, value, known in (('kind', kind, KINDS),
                                   ('parametrization', parametrization,
                                    PARAMETRIZATIONS)):
            if value not in known:
                raise ValueError(
                    f'DisentanglementMatrix: unknown {name}={value!r}; choose '
                    f'one of {", ".join(known)}.')
        if dim < 1:
            raise ValueError(f'DisentanglementMatrix: dim={dim} must be at '
                             'least 1, the channels of the feature map.')
        if kind == 'invertible' and parametrization == 'cayley':
            raise ValueError(
                "DisentanglementMatrix: parametrization='cayley' makes "
                "orthogonal matrices alone. Use 'exp' with "
                "kind='invertible'.")
        self.kind = kind
        self.parametrization = parametrization
        self.raw = nn.Parameter(torch.zeros(dim, dim))

    @property
    def orthogonal(self) -> bool:
        """Whether the matrix keeps lengths."""
        return self.kind == 'orthogonal'

    def forward(self) -> torch.Tensor:
        """Compute U, (D, D)."""
        if self.parametrization == 'cayley':
            return orthogonal_cayley(self.raw)
        if self.orthogonal:
            return orthogonal_exp(self.raw)
        return torch.linalg.matrix_exp(self.raw)

    def both(self) -> Tuple[torch.Tensor, torch.Tensor]:
        """Compute U and its inverse, without gradients."""
        with torch.no_grad():
            if not self.orthogonal:
                return invertible_exp(self.raw)
            matrix = self()
            return matrix, matrix.mT
