"""A report of explanations that any browser opens."""
import base64
import io
import os
from html import escape
from numbers import Integral, Number
from typing import TYPE_CHECKING, Iterable, Optional, Sequence, Tuple

import numpy as np

from .explanation import Explanation, Patch
from .explanation_figure import explanation_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Tuple[str, Sequence[str], Sequence[Sequence[object]]]

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 2em auto;
  max-width: 72em; padding: 0 1em; }
h1, h2 { font-weight: 600; line-height: 1.2; }
h2 { margin-top: 2.5em; border-top: 1px solid #ccc; padding-top: 0.8em; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1em 0; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3em; }
th, td { text-align: left; vertical-align: top; padding: 0.25em 1.2em 0.25em 0;
  border-bottom: 1px solid #ddd; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
tfoot td { font-weight: 600; }
"""
_HEADER = ('reason', 'part of this photo', 'looks like', 'similarity',
           'weight', 'points')


def write_report(path: str,
                 title: str,
                 explanations: Sequence[Explanation],
                 tables: Sequence[Table] = (),
                 pages: Sequence[Tuple[str, 'Figure']] = (),
                 cams: Optional[Sequence[np.ndarray]] = None) -> None:
    """Write explanations as one HTML file, with its pictures inside.

    The file asks nothing of the network and runs no script, so it can be
    mailed to a colleague who has no Python.

    Args:
        path (str): The .html file; its folder is made.
        title (str): Heading of the report.
        explanations (Sequence[Explanation]): A section each: the figure, and
            the points as a table.
        tables (Sequence[tuple]): (caption, header, rows) each, below the
            explanations. Floats are written with three digits. Defaults to
            ().
        pages (Sequence[tuple[str, Figure]]): Further figures with their
            titles, below the tables. Defaults to ().
        cams (Sequence[np.ndarray], optional): A class activation map for
            each explanation, (H, W), 0 to 1. Defaults to None.

    Raises:
        ValueError: If an explanation has no reason.

    Example:
        ::

            write_report('report.html', 'Apples', explanations,
                         tables=[('Accuracy', ('before', 'after'),
                                  [(0.75, 0.74)])])
    """
    names = [_heading(explanation) for explanation in explanations]
    titles = [*names, *(caption for caption, *_ in tables),
              *(name for name, _ in pages)]
    body = [
        f'<h1>{escape(title)}</h1>',
        '<nav><ol>',
        *(f'<li><a href="#part{i}">{escape(name)}</a></li>'
          for i, name in enumerate(titles)),
        '</ol></nav>',
    ]
    for i, explanation in enumerate(explanations):
        figure = explanation_figure(explanation, cams and cams[i])
        body += [_part(i, names[i], figure, _words(explanation)),
                 _reasons(explanation)]
    body += [f'<div id="part{i}">\n{_table(*table)}\n</div>'
             for i, table in enumerate(tables, len(explanations))]
    body += [_part(i, name, figure, name) for i, (name, figure) in enumerate(
        pages, len(explanations) + len(tables))]
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write('<!DOCTYPE html>\n<html lang="en">\n<head>\n'
                   '<meta charset="utf-8">\n'
                   '<meta name="viewport" content="width=device-width">\n'
                   f'<title>{escape(title)}</title>\n'
                   f'<style>{_STYLE}</style>\n</head>\n<body>\n')
        file.write('\n'.join(body))
        file.write('\n</body>\n</html>\n')


def _heading(explanation: Explanation) -> str:
    name = os.path.basename(explanation.source) or 'photo'
    return f'{name}: {explanation.class_name} ({explanation.score:.1%})'


def _words(explanation: Explanation) -> str:
    """Say what the figure shows, for those who do not see it."""
    reasons = '; '.join(
        f'{reason.name} {reason.points:+.3f} points'
        for reason in explanation.reasons)
    return (f'{os.path.basename(explanation.source)} and the parts that '
            f'speak for {explanation.class_name}: {reasons}')


def _part(number: int, name: str, figure: 'Figure', words: str) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format='png', dpi=110)
    data = base64.b64encode(picture.getvalue()).decode()
    return (f'<h2 id="part{number}">{escape(name)}</h2>\n'
            f'<img alt="{escape(words)}" src="data:image/png;base64,{data}">')


def _reasons(explanation: Explanation) -> str:
    rows = [(reason.name, _place(reason.part),
             '; '.join(map(_where, reason.prototypes)), reason.similarity,
             reason.weight, reason.points) for reason in explanation.reasons]
    points = sum(reason.points for reason in explanation.reasons)
    return _table(
        f'Why {explanation.class_name}', _HEADER, rows,
        [('sum of these points', points),
         ('all else', explanation.rest),
         ('logit', explanation.logit)])


def _where(patch: Patch) -> str:
    name = f' ({patch.class_name})' if patch.class_name else ''
    return f'{os.path.basename(patch.source)}{name}, {_place(patch)}'


def _place(patch: Patch) -> str:
    left, top, right, bottom = patch.box
    return f'x {left} to {right}, y {top} to {bottom}'


def _table(caption: str,
           header: Sequence[str],
           rows: Iterable[Sequence[object]],
           sums: Sequence[Tuple[str, float]] = ()) -> str:
    lines = [f'<table>\n<caption>{escape(caption)}</caption>', '<thead>',
             _row(header, 'th'), '</thead>', '<tbody>',
             *(_row(row) for row in rows), '</tbody>']
    if sums:
        blank = len(header) - 1
        lines += ['<tfoot>', *(
            f'<tr><td colspan="{blank}">{name}</td>{_cell(value)}</tr>'
            for name, value in sums), '</tfoot>']
    return '\n'.join([*lines, '</table>'])


def _row(cells: Sequence[object], tag: str = 'td') -> str:
    return f'<tr>{"".join(_cell(cell, tag) for cell in cells)}</tr>'


def _cell(value: object, tag: str = 'td') -> str:
    if not isinstance(value, Number):
        return f'<{tag}>{escape(str(value))}</{tag}>'
    text = value if isinstance(value, Integral) else f'{value:.3f}'
    return f'<{tag} class="number">{text}</{tag}>'
