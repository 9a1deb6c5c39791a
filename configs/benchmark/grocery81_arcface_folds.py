"""`grocery81_arcface_cv.py` with six photos a class: four folds of eight."""
_base_ = './grocery81_arcface_cv.py'

splits = dict(_delete_=True, num=4)
runs = {
    name: dict(options={'model.head.contrast.queue_len': 486})
    for name in ('one-view', 'prototypes', 'spread', 'spread-scale-10')
}
