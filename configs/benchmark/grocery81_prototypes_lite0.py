"""ST-ProtoPNet and the plain classifier on EfficientNet-Lite0, at 128 px."""
_base_ = './grocery81_prototypes.py'

options = {
    'model.backbone._delete_': True,
    'model.backbone.type': 'TIMMBackbone',
    'model.backbone.model_name': 'tf_efficientnet_lite0',
    'data_preprocessor.mean': [127.5] * 3,
    'data_preprocessor.std': [127.5] * 3,
}
