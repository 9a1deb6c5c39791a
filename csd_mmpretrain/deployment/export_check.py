"""Comparison of an exported file with its model."""
from itertools import cycle
from math import inf, isnan
from typing import Callable, NamedTuple, Optional, Sequence

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
    """Compare a file with its model, on batches of several sizes.

    Args:
        run (Callable): The file, see :func:`load_export`.
        model (ImageClassifier): The whole model, with its own data
            preprocessor.
        images (Sequence[Tensor]): (3, H, W) each, as the test pipeline packs
            them.
        preprocess (bool): Whether the file takes these; otherwise it gets
            what the data preprocessor returns. Defaults to True.
        scores (bool): Whether to compare the file's output with the scores
            that the model predicts, not with its logits. Defaults to False.
        batch_size (int, optional): The only batch size that the file takes.
            Defaults to None, any.

    Returns:
        ExportCheck: The comparison.

    Raises:
        ValueError: If the file does not run with a batch size.
    """
    model.eval()
    largest, agreeing, start = 0.0, 0, 0
    for size in cycle([batch_size] if batch_size else SIZES):
        batch = list(images[start:start + size])
        if not batch:
            break
        start += size
        count = len(batch)
        if batch_size:  # fill up the last batch
            batch += batch[-1:] * (size - count)
        pixels = torch.stack(batch)
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
                f'For a batch of {len(pixels)} images the file returns '
                f'{tuple(found.shape)} instead of {tuple(expected.shape)}. '
                'Fix the batch size with `--batch-size N`.')
        found, expected = found[:count], expected[:count]
        difference = (found - expected).abs().max().item()
        # max() would ignore a NaN.
        largest = max(largest, inf if isnan(difference) else difference)
        agreeing += (found.argmax(1) == expected.argmax(1)).sum().item()
    return ExportCheck(len(images), largest, agreeing)
