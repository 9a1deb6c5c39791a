"""Comparison of an exported file with the model it was made of."""
from itertools import cycle
from math import inf, isnan
from typing import Callable, Iterator, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModel

SIZES = (1, 3, 8)


class ExportCheck(NamedTuple):
    """How far a file is from its model.

    Attributes:
        images (int): How many images were compared.
        largest (float): The largest difference of two outputs.
        agreeing (int): The images that both put into the same class.
    """

    images: int
    largest: float
    agreeing: int


@torch.no_grad()
def check_export(run: Callable[[torch.Tensor], torch.Tensor],
                 model: BaseModel,
                 images: Sequence[torch.Tensor],
                 preprocess: bool = True,
                 scores: bool = False,
                 batch_size: Optional[int] = None) -> ExportCheck:
    """Compare a file with its model on images, in batches of several sizes.

    Args:
        run (Callable): The file, see :func:`load_export`.
        model (ImageClassifier): The whole model, with its own data
            preprocessor.
        images (Sequence[Tensor]): (3, H, W) each, as the test pipeline packs
            them.
        preprocess (bool): Whether the file takes these; otherwise it gets
            what the data preprocessor returns. Defaults to True.
        scores (bool): Whether the file returns probabilities; they are
            compared with those that the model predicts. Defaults to False.
        batch_size (int, optional): The only batch size that the file takes.
            Defaults to None, any.

    Returns:
        ExportCheck: The comparison.

    Raises:
        ValueError: If the file does not run with a batch size.
    """
    model.eval()
    largest, agreeing = 0.0, 0
    for pixels, count in _batches(images, batch_size):
        inputs = model.data_preprocessor(dict(inputs=pixels))['inputs']
        if scores:
            expected = torch.stack(
                [sample.pred_score for sample in model.predict(inputs)])
        else:
            expected = model(inputs, mode='tensor')
        try:
            found = run(pixels if preprocess else inputs.contiguous())
        except Exception as error:
            raise ValueError(
                f'The file does not run with a batch of {len(pixels)} images '
                f'({type(error).__name__}: {str(error)[:200]}). Fix the batch '
                'size with `--batch-size N`.') from error
        if found.shape != expected.shape:
            raise ValueError(
                f'Of a batch of {len(pixels)} images the file makes '
                f'{tuple(found.shape)} instead of {tuple(expected.shape)}. '
                'Fix the batch size with `--batch-size N`.')
        found, expected = found[:count], expected[:count]
        difference = (found - expected).abs().max().item()
        # Of a NaN, max() would keep the other.
        largest = max(largest, inf if isnan(difference) else difference)
        agreeing += (found.argmax(1) == expected.argmax(1)).sum().item()
    return ExportCheck(len(images), largest, agreeing)


def _batches(
        images: Sequence[torch.Tensor],
        batch_size: Optional[int]) -> Iterator[Tuple[torch.Tensor, int]]:
    """Stack the images; the last batch of a fixed size is filled up."""
    sizes = cycle(SIZES if batch_size is None else [batch_size])
    start = 0
    while start < len(images):
        size = next(sizes)
        batch = list(images[start:start + size])
        start += size
        filling = 0 if batch_size is None else size - len(batch)
        yield torch.stack(batch + batch[-1:] * filling), len(batch)
