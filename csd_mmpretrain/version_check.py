"""Check of the packages that csd_mmpretrain needs."""
import importlib
import re
import sys
from types import ModuleType
from typing import Callable, List

# Import name and lowest version. Both mmcv and mmcv-lite import as `mmcv`,
# and the onedl forks keep the import names of the originals.
REQUIREMENTS = (
    ('torch', '2.1'),
    ('torchvision', '0.16'),
    ('mmengine', '0.8.3'),
    ('mmcv', '2.0.0'),
    ('mmpretrain', '1.0.0'),
)

REMEDY = """\
Install a matched set with one of these, and keep to one of the two stacks:
  pip install torch torchvision mmengine mmcv-lite mmpretrain
  pip install torch torchvision onedl-mmengine onedl-mmcv onedl-mmpretrain
Repair a torch that was installed without its torchvision with
  pip install --upgrade torch torchvision"""


class UnfitEnvironment(ImportError):
    """Packages that csd_mmpretrain needs are missing, broken or too old."""


def check_environment(
    import_module: Callable[[str], ModuleType] = importlib.import_module
) -> None:
    """Name all packages that are missing, broken or too old at once.

    Args:
        import_module (Callable): Imports a module by its name. Defaults to
            ``importlib.import_module``.

    Raises:
        UnfitEnvironment: If there is such a package.
    """
    problems, missing = [], set()
    for name, lowest in REQUIREMENTS:
        try:
            module = import_module(name)
        except Exception as error:  # a broken install can raise anything
            absent = getattr(error, 'name', None)
            if absent == name:
                missing.add(name)
                problems.append(
                    f'{name} is not installed, {lowest} or newer is needed')
            elif absent not in missing:
                problems.append(f'{name} is installed but does not import: '
                                f'{type(error).__name__}: {error}')
            continue
        if _numbers(module.__version__) < _numbers(lowest):
            problems.append(f'{name} {module.__version__} is too old, '
                            f'{lowest} or newer is needed')
        elif name == 'torch':
            try:
                module.zeros(1).numpy()
            except RuntimeError as error:  # numpy 2, torch before 2.3
                problems.append(
                    f'torch {module.__version__} cannot use the installed '
                    f"numpy ({error}): pip install 'numpy<2'")
    if problems:
        listed = '\n'.join(f'  - {problem}' for problem in problems)
        sys.excepthook = _without_traceback(sys.excepthook)
        raise UnfitEnvironment(f'csd_mmpretrain cannot run in {sys.prefix}:\n'
                               f'{listed}\n{REMEDY}')


def _without_traceback(show: Callable) -> Callable:
    """Let the message alone be shown where nothing catches the error."""

    def show_message(kind: type, error: Exception, trace: object) -> None:
        if kind is UnfitEnvironment:
            print(error, file=sys.stderr)
        else:
            show(kind, error, trace)

    return show_message


def _numbers(version: str) -> List[int]:
    # Not by `packaging`, which a bare interpreter may lack.
    return [int(x) for x in re.findall(r'\d+', version.partition('+')[0])]
