"""The project's models in mmpretrain's hub, by their names."""
from pathlib import Path

from mmpretrain.apis import ModelHub

PACKAGE = Path(__file__).resolve().parents[1]


def register_models() -> None:
    """Tell mmpretrain's hub the models of this project's model index.

    Then ``mmpretrain.list_models``, ``get_model`` and the inferencers know
    them by name. Importing the package does it.

    Example:
        >>> from mmpretrain import list_models
        >>> list_models('csdnet_demo*')
        ['csdnet_demo', 'csdnet_demo_vit', 'csdnet_demo_vit_start']
    """
    for root in (PACKAGE / '.mim', PACKAGE.parent):
        if (root / 'model-index.yml').is_file():
            ModelHub.register_model_index(root / 'model-index.yml', root)
            return
