"""Whether what leads in `grocery81_arcface_cv.py` leads on other splits."""
_base_ = 'grocery81_arcface_cv.py'
seeds = [1, 2]
splits = dict(seed=1)
