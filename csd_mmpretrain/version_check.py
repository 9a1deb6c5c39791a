"""Check of the packages that csd_mmpretrain stands on."""
import importlib
import re
import sys
from types import ModuleType
from typing import Callable, List, Optional, Tuple

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
A torch that was installed without its torchvision is mended by
  pip install --upgrade torch torchvision"""


def release(version: str) -> Tuple[int, ...]:
    """Get the numbers of a version's release part.

    Args:
        version (str): A version, such as ``'2.1.0+cu121'`` or ``'2.0.0rc4'``.

    Returns:
        Tuple[int, ...]: Three numbers, ``(2, 1, 0)``; missing ones are 0.
    """
    numbers = re.match(r'\d+(\.\d+)*', version)
    parts = [int(x) for x in numbers.group().split('.')] if numbers else []
    return tuple((parts + [0, 0, 0])[:3])


def numpy_problem(torch: ModuleType) -> Optional[str]:
    """Tell whether torch can exchange arrays with the installed numpy.

    A torch before 2.3 cannot with numpy 2, and pip does not know it.

    Args:
        torch (ModuleType): The imported torch.

    Returns:
        Optional[str]: One line that names the remedy, None where all is well.
    """
    try:
        torch.zeros(1).numpy()
    except RuntimeError as error:
        return (f'torch {torch.__version__} cannot use the installed numpy '
                f"({error}): pip install 'numpy<2'")
    return None


def find_problems(
    import_module: Callable[[str], ModuleType] = importlib.import_module
) -> List[str]:
    """List the required packages that are missing, broken or too old.

    Args:
        import_module (Callable): Imports a module by its name. Defaults to
            ``importlib.import_module``.

    Returns:
        List[str]: One line for each problem; empty where all is well.
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
        if release(module.__version__) < release(lowest):
            problems.append(f'{name} {module.__version__} is too old, '
                            f'{lowest} or newer is needed')
        elif name == 'torch' and numpy_problem(module):
            problems.append(numpy_problem(module))
    return problems


def check_environment(
    import_module: Callable[[str], ModuleType] = importlib.import_module
) -> None:
    """Raise one error that names every package to install or upgrade.

    Args:
        import_module (Callable): Imports a module by its name. Defaults to
            ``importlib.import_module``.

    Raises:
        ImportError: If a required package is missing, too old, or refuses
            another one's version (as mmpretrain does with mmcv).
    """
    problems = find_problems(import_module)
    if problems:
        listed = '\n'.join(f'  - {problem}' for problem in problems)
        raise ImportError(f'csd_mmpretrain cannot run in {sys.prefix}:\n'
                          f'{listed}\n{REMEDY}')
