"""Tables as Markdown for a page, and as CSV for a program."""
import csv
from pathlib import Path
from typing import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Write a Markdown table; columns after the names are set right.

    Args:
        header (Sequence[str]): Titles of the columns.
        rows (Sequence[Sequence]): Cells; numbers as they should be read are
            given as text.

    Returns:
        str: The table.

    Example:
        >>> print(markdown_table(['class', 'images'], [['plum', 3]]))
        | class | images |
        | :--- | ---: |
        | plum | 3 |
    """
    numbers = [
        bool(rows) and all(_is_number(row[i]) for row in rows)
        for i in range(len(header))
    ]
    lines = [header, ['---:' if right else ':---' for right in numbers]]
    lines += [[str(cell).replace('|', '\\|') for cell in row] for row in rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _is_number(cell: object) -> bool:
    try:
        float(str(cell).split(' ')[0].rstrip('%'))
    except ValueError:
        return cell == ''
    return True


def write_table(path: Path, header: Sequence[str],
                rows: Sequence[Sequence]) -> None:
    """Write a table to a file, its folder made where it is missing.

    Args:
        path (Path): .md or .csv.
        header (Sequence[str]): Titles of the columns.
        rows (Sequence[Sequence]): Cells.

    Raises:
        ValueError: If the name ends in something else.
    """
    path = Path(path)
    if path.suffix not in ('.md', '.csv'):
        raise ValueError(f'{path}: the name of a table must end in .md or '
                         '.csv.')
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', newline='', encoding='utf-8') as file:
        if path.suffix == '.md':
            file.write(markdown_table(header, rows) + '\n')
        else:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(header)
            writer.writerows(rows)
