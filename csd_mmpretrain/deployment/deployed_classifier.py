"""The parts of a classifier that inference needs."""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import ClsHead
from torch import nn

from csd_mmpretrain.utils.protocol import inference_model


class DeployedClassifier(nn.Module):
    """Turn images into logits, without anything of the training.

    Queue, losses and second view stay behind. The parts are those of the
    model, not copies.

    Args:
        model (ImageClassifier): The trained model.
        preprocess (bool): Whether to convert the channels and normalize, so
            that it takes pixels, (B, 3, H, W) as the test pipeline packs
            them; otherwise it takes what the model's data preprocessor
            returns. Defaults to True.
        scores (bool): Return the probabilities of the classes instead of the
            logits, both (B, K), float32. Defaults to False.

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
        self.head = inference_model(model.head)
        if scores and getattr(type(self.head), '_get_predictions',
                              None) is not ClsHead._get_predictions:
            raise ValueError(
                f'Scores of a {type(self.head).__name__}: a file with scores '
                'returns the softmax of the logits, which the single-label '
                'heads of mmpretrain (ClsHead, such as LinearClsHead) '
                'predict, but this head predicts something else. Export its '
                'logits, `--output logits`, and compute the scores as its '
                '`predict` does.')
        self.preprocess = preprocess
        self.scores = scores
        preprocessor = model.data_preprocessor
        self.to_rgb = preprocessor.to_rgb
        self.pad_size_divisor = preprocessor.pad_size_divisor
        self.pad_value = preprocessor.pad_value
        self.normalize = preprocess and preprocessor._enable_normalize
        if self.normalize:
            self.register_buffer('mean', preprocessor.mean.clone())
            self.register_buffer('std', preprocessor.std.clone())
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
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
        if self.normalize:
            images = (images - self.mean) / self.std
        bottom, right = (-side % self.pad_size_divisor
                         for side in images.shape[2:])
        if bottom or right:
            images = F.pad(images, (0, right, 0, bottom),
                           value=self.pad_value)
        return images
