"""The project's models and configs by name."""
from mmengine.config.utils import MODULE2PACKAGE
from mmpretrain.apis import ModelHub

from csd_mmpretrain.utils.package_files import PACKAGE, package_files


def register_models() -> None:
    """Make the models and configs known by name. Importing the package does.

    ``mmpretrain.list_models``, ``get_model`` and the inferencers know the
    models of the model index. A config finds those of the package, also
    without a checkout: ``_base_ = 'csd_mmpretrain::csdnet/grocery81.py'``.

    Example:
        >>> from mmpretrain import list_models
        >>> list_models('csdnet_demo*')
        ['csdnet_demo', 'csdnet_demo_vit', 'csdnet_demo_vit_start']
    """
    MODULE2PACKAGE[PACKAGE.name] = PACKAGE.name
    root = package_files()
    if (root / 'model-index.yml').is_file():
        ModelHub.register_model_index(root / 'model-index.yml', root)
