"""The push: each prototype becomes a cell of a training photo."""
from typing import Dict, Iterable, List, NamedTuple, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel

from csd_mmpretrain.layers.gather import gather_batch
from csd_mmpretrain.layers.unit_vectors import unit_vectors
from csd_mmpretrain.runtime.undisturbed import same_modes


class OwnCells(NamedTuple):
    """What in each image is most like the K prototypes of its class.

    Attributes:
        cosine (Tensor): (B, K).
        position (Tensor): (B, K, 2), int64, y and x in the branch's map.
        vector (Tensor): (B, K, D), the cells' features, of length 1.
    """

    cosine: torch.Tensor
    position: torch.Tensor
    vector: torch.Tensor


class Patches(NamedTuple):
    """Where each prototype is from.

    Attributes:
        image (Tensor): (P, ), int64, the image's number.
        cosine (Tensor): (P, ), of the prototype and the cell.
        position (Tensor): (P, 2), int64, y and x in the branch's map.
        vector (Tensor): (P, D), the new prototypes, of length 1.
    """

    image: torch.Tensor
    cosine: torch.Tensor
    position: torch.Tensor
    vector: torch.Tensor


def own_cells(features: torch.Tensor, prototypes: torch.Tensor,
              labels: torch.Tensor, num_classes: int) -> OwnCells:
    """Find the cell of each image that is most like each own prototype.

    Args:
        features (Tensor): (B, D, h, w), a branch's map.
        prototypes (Tensor): (C * K, D), class by class.
        labels (Tensor): (B, ), int64.
        num_classes (int): C.

    Returns:
        OwnCells: The first of equal cells, row by row.

    Source: ST-ProtoPNet's push.

    Example:
        >>> import torch
        >>> cells = own_cells(torch.rand(3, 8, 7, 7), torch.rand(10, 8),
        ...                   torch.tensor([0, 4, 4]), 5)
        >>> cells.position.shape
        torch.Size([3, 2, 2])
    """
    own = unit_vectors(prototypes).unflatten(0, (num_classes, -1))[labels]
    cells = F.normalize(features, dim=1).flatten(2)
    cosine, cell = (own @ cells).max(2)
    vector = cells.mT.gather(1, cell[..., None].expand(-1, -1, cells.size(1)))
    width = features.size(3)
    return OwnCells(cosine, torch.stack([cell // width, cell % width], 2),
                    vector)


def best_patches(cells: OwnCells, labels: torch.Tensor,
                 num_classes: int) -> Patches:
    """Choose the image whose cell is most like each prototype.

    Args:
        cells (OwnCells): Of N images.
        labels (Tensor): (N, ), int64.
        num_classes (int): C.

    Returns:
        Patches: Of P = C * K prototypes; the first of equal images.

    Raises:
        ValueError: If a class has no image.

    Source: ST-ProtoPNet's push; that a class without images is refused, and
    gets no zeros, is a choice.
    """
    check_all_classes(labels.tolist(), num_classes)
    chosen = []
    for label in range(num_classes):
        images = (labels == label).nonzero()[:, 0]
        # numpy's argmax takes the first of equals.
        best = cells.cosine[images].cpu().numpy().argmax(0)
        chosen.append(images[torch.from_numpy(best).to(images.device)])
    image = torch.stack(chosen)
    slot = torch.arange(image.size(1), device=image.device).expand_as(image)
    image, slot = image.flatten(), slot.flatten()
    return Patches(image, *(part[image, slot] for part in cells))


def check_all_classes(labels: List[int], num_classes: int) -> None:
    """Raise a ValueError if a class has no training image."""
    absent = sorted(set(range(num_classes)) - set(labels))
    if absent:
        shown = ', '.join(map(str, absent[:5])) + ', ...' * (len(absent) > 5)
        raise ValueError(
            f'ST-ProtoPNet: {len(absent)} of {num_classes} classes have no '
            f'training image ({shown}; counted from 0), so their prototypes '
            'can become part of none. Add images of them, or lower '
            "the head's num_classes.")


@torch.no_grad()
def find_patches(model: BaseModel, batches: Iterable[dict],
                 labels: List[int]) -> Dict[str, Patches]:
    """Find the new prototypes of all branches in one pass over the photos.

    Nothing of the model is changed. Each process looks at its part of the
    photos, and all return the same.

    Args:
        model (BaseModel): With ``STProtoPNetHead``, without wrapper; in
            evaluation mode meanwhile.
        batches (Iterable[dict]): With ``inputs``, and ``data_samples`` with
            ``sample_idx``, the images' numbers.
        labels (list[int]): By number.

    Returns:
        dict[str, Patches]: By branch.

    Raises:
        ValueError: If a class has no image.
    """
    head, found = model.head, {}
    check_all_classes(labels, head.num_classes)
    indices = []
    with same_modes(model):
        model.eval()
        for batch in batches:
            batch = model.data_preprocessor(batch)
            samples = batch['data_samples']
            own = torch.cat([sample.gt_label for sample in samples])
            indices += [sample.sample_idx for sample in samples]
            maps = head.branch_maps(model.extract_feat(batch['inputs']))
            for name, branch in head.branches():
                cells = own_cells(
                    maps[name], branch.prototypes, own, head.num_classes)
                found.setdefault(name, []).append(cells)
    numbers = own.new_tensor(indices)
    return {name: best_patches(*_gather(parts, numbers, labels),
                               head.num_classes)
            for name, parts in found.items()}


def _gather(parts: List[OwnCells], numbers: torch.Tensor,
            labels: List[int]) -> Tuple[OwnCells, torch.Tensor]:
    """Collect the cells of all ranks in the order of the images, each once."""
    cells = [gather_batch(torch.cat(part), numbers)[0] for part in zip(*parts)]
    numbers = gather_batch(numbers, numbers)[1].cpu().numpy()
    order = torch.from_numpy(np.unique(numbers, return_index=True)[1])
    order = order.to(cells[0].device)
    return (OwnCells(*(part[order] for part in cells)),
            torch.tensor(labels, device=order.device))


@torch.no_grad()
def write_prototypes(model: BaseModel, patches: Dict[str, Patches]) -> None:
    """Put the patches in the place of the prototypes.

    Args:
        model (BaseModel): With ``STProtoPNetHead``, without wrapper.
        patches (dict[str, Patches]): Of all branches.
    """
    for name, branch in model.head.branches():
        branch.prototypes.copy_(patches[name].vector)
