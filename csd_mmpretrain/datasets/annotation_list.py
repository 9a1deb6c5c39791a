"""Reading and checking lists of images and classes."""
import re
from pathlib import Path
from typing import Dict, List, Tuple, Union


def read_text(path: Union[str, Path], remedy: str) -> str:
    """Read a text file in UTF-8, with or without a byte-order mark.

    Args:
        path (str | Path): The file.
        remedy (str): What to do if it is not readable as text.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not text in UTF-8.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file '{path}'. {remedy}")
    try:
        return Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: not a text file in UTF-8 ({error}). {remedy}') from None


def check_image_list(path: str, with_label: bool = True) -> None:
    """Check a list of images as mmpretrain's ``CustomDataset`` reads it.

    Args:
        path (str): A list with lines of ``<file name><space><label>``, labels
            counted from 0.
        with_label (bool): Whether a line has a label. Defaults to True.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If nothing is listed, a line is blank or does not parse,
            or a file is listed with two labels.

    Example:
        >>> check_image_list('data/grocery81/meta/train.txt')
    """
    labels: Dict[str, Tuple[str, int]] = {}
    for number, line in enumerate(plain_lines(path), start=1):
        if not with_label:
            continue
        name, _, label = line.strip().rpartition(' ')
        fault = None
        if not name or name != name.strip() or not re.fullmatch(r'\d+', label):
            fault = ("expected '<file name><space><label>' with one space and "
                     'a whole number from 0 as the label')
        else:
            label = str(int(label))
            first, place = labels.setdefault(name, (label, number))
            if first != label:
                fault = f'but line {place} gives this file the label {first}'
        if fault:
            raise ValueError(
                f'{path}, line {number}: found {line!r}, {fault}. Mend the '
                'line.')


def check_class_list(path: str) -> None:
    """Check a file with the name of a class in each line.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If nothing is listed, or a line is blank or there twice.
    """
    names: Dict[str, int] = {}
    for number, line in enumerate(plain_lines(path), start=1):
        place = names.setdefault(line, number)
        if place != number:
            raise ValueError(
                f'{path}, line {number}: the class {line!r} is in line '
                f'{place} already. Remove one of the two, or rename it.')


def plain_lines(path: str) -> List[str]:
    """Read the lines of a list as mmengine's ``list_from_file`` does.

    Args:
        path (str): The file.

    Returns:
        list[str]: One or more, none of them blank.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, has a blank line or a byte-order mark, or
            is not text in UTF-8.
    """
    text = read_text(path, 'Give an existing list, and save it as plain text '
                     'in UTF-8.')
    if Path(path).read_bytes().startswith(b'\xef\xbb\xbf'):
        raise ValueError(
            f'{path}: begins with a byte-order mark, which would become part '
            'of the first name. Save it as UTF-8 without one.')
    lines = text.split('\n')
    if not lines[-1]:
        del lines[-1]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise ValueError(f'{path}, line {number}: is blank. Remove the '
                             'line.')
    if not lines:
        raise ValueError(f'{path}: the list is empty, expected one name per '
                         'line.')
    return lines
