import torch, math
import torch.nn.functional as F
from torch import nn
from mmengine.hooks import Hook
from mmpretrain.registry import MODELS, HOOKS
from mmengine.model import BaseModule
from csd_mmpretrain.methods.csdnet.csd_head import CSDHead, _images
from csd_mmpretrain.methods.csdnet.ssdt_loss import distillation
from csd_mmpretrain.methods.csdnet.ssdp_hook import SSDPHook
from csd_mmpretrain.methods.csdnet.ssdp_neck import SSDPNeck


class EpochHead(CSDHead):
    progress = 0.


@HOOKS.register_module()
class ProgressHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        m = runner.model
        getattr(m, 'module', m).head.progress = runner.iter / runner.max_iters


@MODELS.register_module()
class RememberedHead(EpochHead):
    def __init__(self, *a, images=700, tau=1.0, weight=1.0, ramp=True, keep=0.0, **k):
        super().__init__(*a, **k)
        n = self.cls_head.num_classes
        self.register_buffer('memory', torch.zeros(images, n))
        self.register_buffer('seen', torch.zeros(images, dtype=torch.bool))
        self.tau, self.weight, self.ramp, self.keep = tau, weight, ramp, keep

    def loss(self, feats, data_samples):
        losses = super().loss(feats, data_samples)
        if len(feats[-1]) != len(data_samples):
            raise ValueError
        logits = self.cls_head(feats)
        idx = _images(data_samples)
        old, seen = self.memory[idx], self.seen[idx]
        w = self.weight * (self.progress if self.ramp else 1)
        kl = self.tau**2 * F.kl_div(F.log_softmax(logits / self.tau, 1), F.log_softmax(old / self.tau, 1), reduction='none', log_target=True).sum(1)
        losses['loss_remembered'] = w * (kl * seen).mean()
        new = logits.detach()
        keep = self.keep * seen[:, None]
        self.memory[idx] = keep * old + (1 - keep) * new
        self.seen[idx] = True
        return losses


@MODELS.register_module()
class ViewMarginHead(CSDHead):
    """No margin on the second view."""
    def __init__(self, *a, view_scale=None, **k):
        super().__init__(*a, **k)
        self.turn = 0
        self.view_scale = view_scale

    def loss(self, feats, data_samples):
        self.turn = 0
        return super().loss(feats, data_samples)

    def _classify(self, features, data_samples):
        self.turn += 1
        if self.turn == 2:
            h = self.cls_head
            z = h((features,))
            if self.view_scale:
                z = z * self.view_scale / h.scale
            y = torch.cat([s.gt_label for s in data_samples])
            return dict(loss=F.cross_entropy(z, y)), h((features,)) / h.scale
        return super()._classify(features, data_samples)


@MODELS.register_module()
class SpreadHead(EpochHead):
    """ISDA with the residuals of the queue around their class means."""
    def __init__(self, *a, lam=1.0, ramp=True, detach=False, uniform=False, **k):
        super().__init__(*a, **k)
        self.lam, self.ramp, self.detach = lam, ramp, detach
        self.uniform = uniform

    def spread(self, y):
        q = self.contrast.queue
        C = self.cls_head.num_classes
        known = (q.labels >= 0)
        lab = q.labels.clamp(min=0)
        k = q.features * known[:, None]
        n = k.new_zeros(C).index_add_(0, lab, known.float())
        mean = k.new_zeros(C, k.size(1)).index_add_(0, lab, k) / n.clamp(min=1)[:, None]
        res = (k - mean[lab]) * known[:, None]
        dof = (n - 1).clamp(min=0).sum().clamp(min=1)
        w = F.normalize(self.cls_head.norm_product.weight)
        if self.detach:
            w = w.detach()
        proj = res @ w.t()  # K, C
        G = proj.t() @ proj / dof  # C, C
        d = G.diagonal()
        var = d[None] + d[:, None] - 2 * G
        if self.uniform:
            var = var.detach().sum() / (C * (C - 1)) * (1 - torch.eye(C))
        return var[y]

    def _classify(self, features, data_samples):
        y = torch.cat([s.gt_label for s in data_samples])
        h = self.cls_head
        z = h((features,), y)
        lam = self.lam * (self.progress if self.ramp else 1)
        extra = 0.5 * lam * h.scale**2 * self.spread(y)
        return dict(loss=F.cross_entropy(z + extra, y), extra=extra.mean().detach(), extra_std=extra.std().detach()), None


@HOOKS.register_module()
class RivalHook(SSDPHook):
    """The pattern of what separates the label from its hardest rival."""
    def before_train(self, runner):
        super().before_train(runner)
        m = runner.model
        self._model = getattr(m, 'module', m)

    def _add_second_view(self, last, args, raw):
        if self._batch is not None:
            self._y = torch.cat([s.gt_label for s in self._batch[1]])
        return super()._add_second_view(last, args, raw)

    @torch.no_grad()
    def _pattern_map(self, feats):
        x = feats[-1]
        w = F.normalize(self._model.head.cls_head.norm_product.weight)
        cos = F.normalize(x.mean((2, 3))) @ w.t()
        h = cos.scatter(1, self._y[:, None], -9.).argmax(1)
        return F.relu(torch.einsum('bchw,bc->bhw', x, w[self._y] - w[h])).float()


@MODELS.register_module()
class NormNeck(SSDPNeck):
    def __init__(self, *a, **k):
        super().__init__(*a, **k)
        self.bn = nn.BatchNorm1d(self.in_channels, affine=False)

    def forward(self, feats):
        f, = super().forward(feats)
        return (self.bn(f),)


@MODELS.register_module()
class NormPool(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.bn = nn.BatchNorm1d(in_channels, affine=False)

    def forward(self, feats):
        return (self.bn(feats[-1].mean((2, 3))),)


@HOOKS.register_module()
class NormStartHook(Hook):
    """Statistics of the photos, before ImprintHook."""
    priority = 'HIGH'

    @torch.no_grad()
    def before_train(self, runner):
        from csd_mmpretrain.evaluation.feature_data import labelled_images
        from csd_mmpretrain.evaluation.features import collect_features
        from csd_mmpretrain.runtime.undisturbed import same_random_states
        m = runner.model
        with same_random_states():
            loader = labelled_images(runner.cfg, 'train').loader
            f, _ = collect_features(m, loader, 'pre_logits')
        # running mean 0, var 1 so far: features as they are (up to eps)
        m.neck.bn.running_mean.copy_(f.mean(0))
        m.neck.bn.running_var.copy_(f.var(0))

from csd_mmpretrain.methods.csdnet.prototype_queue_loss import PrototypeQueueLoss, prototype_cosines
from csd_mmpretrain.layers.unit_vectors import unit_vectors


@MODELS.register_module()
class SpreadPrototypeLoss(PrototypeQueueLoss):
    def __init__(self, *a, lam=4., **k):
        super().__init__(*a, **k)
        self.lam = lam

    def spread_(self):
        q = self.queue
        C = self.num_classes
        known = (q.labels >= 0)
        lab = q.labels.clamp(min=0)
        k = q.features * known[:, None]
        n = k.new_zeros(C).index_add_(0, lab, known.float())
        sums = k.new_zeros(C, k.size(1)).index_add_(0, lab, k)
        res = (k - (sums / n.clamp(min=1)[:, None])[lab]) * known[:, None]
        dof = (n - 1).clamp(min=0).sum().clamp(min=1)
        proj = res @ unit_vectors(sums).t()
        G = proj.t() @ proj / dof
        d = G.diagonal()
        return d[None] + d[:, None] - 2 * G

    def compare(self, views, labels, images, keys, key_labels):
        q = self.queue
        cosines = prototype_cosines(views, labels, images, q.features, q.labels, q.images, self.num_classes)
        true = labels.expand(len(views), -1)[..., None]
        margins = torch.zeros_like(cosines).scatter_(-1, true, self.margin)
        margins = margins - .5 * self.lam * self.scale * self.spread_()[labels]
        lonely = cosines.gather(-1, true).isneginf()
        logits = self.scale * (cosines - margins).masked_fill(lonely, 0)
        losses = F.cross_entropy(logits.flatten(0, 1), true.flatten(), reduction='none')
        kept = ~lonely.flatten()
        right = kept & (cosines.argmax(-1).flatten() == true.flatten())
        return dict(loss_prototypes=self.loss_weight * (losses * kept).mean(), prototype_accuracy=100 * right.float().mean(), spread=self.spread_().mean()*self.scale**2/2)
