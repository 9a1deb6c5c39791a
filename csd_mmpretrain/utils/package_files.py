"""The files that the package brings beside its modules."""
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def package_files() -> Path:
    """Find the folder of ``configs``, ``tools`` and ``model-index.yml``.

    Returns:
        Path: The ``.mim`` folder of an installed package, else the checkout.
    """
    installed = PACKAGE / '.mim'
    return installed if installed.is_dir() else PACKAGE.parent
