"""A classifier of cosines that starts from the training images."""
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models.heads import ArcFaceClsHead
from mmpretrain.registry import HOOKS
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from csd_mmpretrain.evaluation.enroll import class_means
from csd_mmpretrain.evaluation.feature_data import labelled_images
from csd_mmpretrain.evaluation.features import (
    LabelledFeatures,
    collect_features,
)
from csd_mmpretrain.layers.gather import whole_batch
from csd_mmpretrain.runtime.undisturbed import same_random_states
from csd_mmpretrain.utils.protocol import inference_model
from csd_mmpretrain.utils.unwrap import unwrap


@HOOKS.register_module()
class ImprintHook(Hook):
    """Let the class weights of ArcFace start from the training images.

    Before the first step, all training images pass the network once, loaded
    as in the test and without gradient. The weight of each class then points
    along the mean direction of its features; its length stays. A class
    without images keeps its drawn weight. This costs about a third of an
    epoch. A training that is resumed does not do it again, and random states
    are left as they were. Several processes share the pass.

    Raises:
        ValueError: Before the first step, if the head is not
            ``BoundedArcFaceClsHead`` or ``ArcFaceClsHead`` with one weight a
            class, alone or inside ``CSDHead``, if its channels are not the
            features', or if FSDP shards the weights.

    Source: Qi et al. 2018, Low-Shot Learning with Imprinted Weights; that all
    classes start so, in a training that follows, is a choice.

    Example:
        >>> custom_hooks = [dict(type='ImprintHook')]
    """

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        if runner.iter:
            return
        head = self._cosine_head(runner.model)
        with same_random_states():
            loader = labelled_images(runner.cfg, 'train').loader
            parts = collect_features(unwrap(runner.model), loader,
                                     'pre_logits')
        # Of several processes, the last images may be copies of the first.
        features, labels = (part[:len(loader.dataset)]
                            for part in whole_batch(*parts))
        weight = head.norm_product.weight
        if features.size(1) != weight.size(1):
            raise ValueError(
                f'ImprintHook: {type(head).__name__} has in_channels='
                f'{weight.size(1)}, but the features have {features.size(1)} '
                f'channels. Set in_channels={features.size(1)} of that head.')
        found, labels = labels.unique(return_inverse=True)
        means = class_means(LabelledFeatures(features, labels), len(found))
        lengths = weight[found].norm(dim=1, keepdim=True)
        weight[found] = means.to(weight) * lengths
        runner.logger.info(
            f'ImprintHook: {len(found)} class weights start from '
            f'{len(labels)} training images.')

    @staticmethod
    def _cosine_head(model: nn.Module) -> ArcFaceClsHead:
        if any(isinstance(module, FullyShardedDataParallel)
               for module in model.modules()):
            raise ValueError('ImprintHook writes whole class weights, but '
                             "FSDP shards them. Use runner_type='Runner'.")
        head = inference_model(unwrap(model).head)
        subcenters = getattr(head, 'num_subcenters', 1)
        if not isinstance(head, ArcFaceClsHead) or subcenters > 1:
            raise ValueError(
                'ImprintHook needs a head of cosines with one weight a class, '
                f'but found {type(head).__name__}'
                + f' with num_subcenters={subcenters}' * (subcenters > 1)
                + '. Use BoundedArcFaceClsHead, as in configs/peers/'
                'grocery81_arcface.py, or remove the hook.')
        return head
