"""Tables as Markdown and as CSV."""
import csv
from pathlib import Path
from typing import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Write a Markdown table; columns of numbers are aligned right.

    Example:
        >>> print(markdown_table(['class', 'images'], [['plum', 3]]))
        | class | images |
        | :--- | ---: |
        | plum | 3 |
    """
    sides = ['---:' if rows and all(map(_is_number, column)) else ':---'
             for column in zip(*rows or [header])]
    cells = [[str(cell).replace('|', '\\|') for cell in row] for row in rows]
    return '\n'.join(
        f'| {" | ".join(line)} |' for line in (header, sides, *cells))


def _is_number(cell: object) -> bool:
    try:
        float(str(cell).replace('x ', '').split(' ')[0].rstrip('%'))
    except ValueError:
        return cell == ''
    return True


def write_table(path: Path, header: Sequence[str],
                rows: Sequence[Sequence]) -> None:
    """Write a table as Markdown (.md) or CSV, with the folders of its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', newline='', encoding='utf-8') as file:
        if path.suffix == '.md':
            file.write(markdown_table(header, rows) + '\n')
        else:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(header)
            writer.writerows(rows)
