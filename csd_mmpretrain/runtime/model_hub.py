"""The project's models in mmpretrain's hub."""
from pathlib import Path

from mmpretrain.apis import ModelHub


def register_models() -> None:
    """Add the models of the model index to mmpretrain's hub.

    ``mmpretrain.list_models``, ``get_model`` and the inferencers then know
    them by name. Importing the package does it.

    Example:
        >>> from mmpretrain import list_models
        >>> list_models('csdnet_demo*')
        ['csdnet_demo', 'csdnet_demo_vit', 'csdnet_demo_vit_start']
    """
    package = Path(__file__).resolve().parents[1]
    for root in (package / '.mim', package.parent):
        if (root / 'model-index.yml').is_file():
            ModelHub.register_model_index(root / 'model-index.yml', root)
            return
