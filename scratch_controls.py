"""Controls of ArcFace: ProxyAnchor, SupCon with a queue."""
import torch
import torch.nn.functional as F
from torch import nn
from mmpretrain.registry import MODELS
from csd_mmpretrain.methods.csdnet.queue_loss import QueueLoss
import scratch_attempts  # noqa: F401


def proxy_anchor(cos, y, alpha=32., margin=.1):
    """Kim et al. 2020, of cosines (B, C)."""
    own = F.one_hot(y, cos.size(1)).bool()
    zero = cos.new_zeros(1, cos.size(1))
    pos = torch.cat([zero, (-alpha * (cos - margin)).masked_fill(~own, -torch.inf)]).logsumexp(0)
    neg = torch.cat([zero, (alpha * (cos + margin)).masked_fill(own, -torch.inf)]).logsumexp(0)
    return pos.sum() / own.any(0).sum() + neg.mean()


@MODELS.register_module()
class ProxyAnchorOfCosines(nn.Module):
    def __init__(self, alpha=32., margin=.1):
        super().__init__()
        self.alpha, self.margin = alpha, margin

    def forward(self, cos, y, **kwargs):
        return proxy_anchor(cos, y, self.alpha, self.margin)


def supcon_keys(a, y, images, keys, key_labels, key_images, tau):
    """L_out of Khosla et al. 2020; keys of the own image and no keys left out."""
    z = a @ keys.t() / tau
    other = (key_labels >= 0) & (images[:, None] != key_images)
    logp = z - z.masked_fill(~other, -torch.inf).logsumexp(1, keepdim=True)
    pos = other & (y[:, None] == key_labels)
    n = pos.sum(1)
    return -(logp.where(pos, 0)).sum(1)[n > 0].div(n[n > 0]).sum() / len(y)


@MODELS.register_module()
class SupConQueueLoss(QueueLoss):
    def __init__(self, feat_dim, queue_len, tau=.1, loss_weight=1.):
        super().__init__(feat_dim, queue_len, with_images=True, loss_weight=loss_weight)
        self.tau = tau

    def compare(self, views, labels, images, keys, key_labels):
        q = self.queue
        # One view, one process: the batch is the keys.
        loss = supcon_keys(views[0], labels, images,
                           torch.cat([q.features, keys]), torch.cat([q.labels, key_labels]),
                           torch.cat([q.images, images]), self.tau)
        return dict(loss_supcon=self.loss_weight * loss)
