"""`grocery81_arcface_cv.py` on EfficientNet-Lite0."""
_base_ = './grocery81_arcface_cv.py'

options = {
    'model.backbone._delete_': True,
    'model.backbone.type': 'TIMMBackbone',
    'model.backbone.model_name': 'tf_efficientnet_lite0',
    'data_preprocessor.mean': [127.5] * 3,
    'data_preprocessor.std': [127.5] * 3,
}
