"""CSDNet on Cotton80 in less memory: Swin's blocks are computed twice."""
_base_ = './cotton80.py'

model = dict(backbone=dict(with_cp=True))

# What two views and gradient checkpointing need in several processes.
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    static_graph=True,
    broadcast_buffers=False)
