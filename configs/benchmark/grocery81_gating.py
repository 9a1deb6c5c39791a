"""Whether the standardised gate holds what it promised.

`grocery81_cv.py` had it first among some forty values, by its four splits. So
it is compared with the default once more, on four others.
"""
_base_ = 'grocery81_cv.py'
seeds = [1, 2]
splits = dict(seed=1)
runs = {
    '_delete_': True,
    'csdnet': _base_.runs['csdnet'],
    'gating-standardised': _base_.runs['gating-standardised'],
}
