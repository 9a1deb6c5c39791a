"""What of a classifier is needed after training."""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import ClsHead
from mmpretrain.models.utils.attention import ShiftWindowMSA
from torch import nn

from csd_mmpretrain.methods.csdnet.csd_head import CSDHead


class DeployedClassifier(nn.Module):
    """The parts of a classifier that turn images into logits.

    Queue, losses and second view stay behind: of a :class:`CSDHead` there is
    the inner head alone. The parts are those of the model, not copies.

    Args:
        model (ImageClassifier): The trained model.
        preprocess (bool): Whether the order of the channels and the
            normalisation belong to it, so that it takes pixels; otherwise it
            takes what the model's data preprocessor returns. Defaults to
            True.
        scores (bool): Return the probabilities of the classes instead of the
            logits. Defaults to False.

    Raises:
        TypeError: If ``model`` is no ImageClassifier with a head.
        ValueError: If ``scores`` is asked for, and the head predicts other
            scores than the softmax of its logits.

    Example:
        ::

            deployed = DeployedClassifier(get_model(config, checkpoint))
            logits = deployed(pixels)  # (B, 3, H, W), uint8, to (B, K)
    """

    def __init__(self,
                 model: BaseModel,
                 preprocess: bool = True,
                 scores: bool = False) -> None:
        super().__init__()
        if not isinstance(model, ImageClassifier) or not model.with_head:
            raise TypeError(
                f'The model is a {type(model).__name__}, but an '
                'ImageClassifier with a head is needed, whose backbone, neck '
                'and head can be exported. Give the config of one.')
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else None
        head = model.head
        self.head = head.cls_head if isinstance(head, CSDHead) else head
        if scores:
            _check_softmax(self.head)
        self.preprocess = preprocess
        self.scores = scores
        preprocessor = model.data_preprocessor
        self.to_rgb = preprocessor.to_rgb
        self.pad_size_divisor = preprocessor.pad_size_divisor
        self.pad_value = preprocessor.pad_value
        self.normalise = preprocess and preprocessor._enable_normalize
        if self.normalise:
            self.register_buffer('mean', preprocessor.mean.clone())
            self.register_buffer('std', preprocessor.std.clone())
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Classify a batch.

        Args:
            images (Tensor): (B, 3, H, W); pixels as the test pipeline packs
                them, or with ``preprocess=False`` normalised, float32.

        Returns:
            Tensor: (B, K), float32.
        """
        if self.preprocess:
            images = self._preprocess(images)
        feats = self.backbone(images)
        if self.neck is not None:
            feats = self.neck(feats)
        logits = self.head(feats)
        return logits.softmax(dim=1) if self.scores else logits

    def _preprocess(self, images: torch.Tensor) -> torch.Tensor:
        if self.to_rgb:
            images = images.flip(1)
        images = images.float()
        if self.normalise:
            images = (images - self.mean) / self.std
        bottom, right = (-side % self.pad_size_divisor
                         for side in images.shape[2:])
        if bottom or right:
            images = F.pad(images, (0, right, 0, bottom),
                           value=self.pad_value)
        return images


def _check_softmax(head: nn.Module) -> None:
    single = isinstance(head, ClsHead)
    if not single or type(head)._get_predictions is not (
            ClsHead._get_predictions):
        raise ValueError(
            f'Scores of a {type(head).__name__}: a file with scores returns '
            'the softmax of the logits, which the single-label heads of '
            'mmpretrain (ClsHead, such as LinearClsHead) predict, but this '
            'head predicts something else. Export its logits, `--output '
            'logits`, and make the scores of them as its `predict` does.')


def free_batch_size(model: nn.Module) -> None:
    """Let the windows of a Swin Transformer be traced for any batch size.

    ``ShiftWindowMSA.window_reverse`` computes the batch size as a Python
    number, which a tracer writes into the file; here it is left to ``view``.
    The results are the same.

    Args:
        model (nn.Module): Changed in place, in this instance alone.
    """
    for module in model.modules():
        if isinstance(module, ShiftWindowMSA):
            module.window_reverse = _merge_windows


def _merge_windows(windows: torch.Tensor, height: int, width: int,
                   size: int) -> torch.Tensor:
    rows, columns = height // size, width // size
    grid = windows.unflatten(0, (-1, rows, columns))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)
