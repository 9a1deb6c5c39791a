"""CSDNet on Cotton80; the first layers of Swin learn slower than the last.

A layer has 0.9 times the rate of the one after it, and the head has the base
rate: five times that of cotton80.py, as its head has there.
"""
_base_ = './cotton80.py'

optim_wrapper = dict(
    constructor='LearningRateDecayOptimWrapperConstructor',
    optimizer=dict(lr=5e-3 * 12 / 512),
    paramwise_cfg=dict(
        _delete_=True,
        layer_decay_rate=0.9,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys=dict(
            relative_position_bias_table=dict(decay_mult=0.0))))
