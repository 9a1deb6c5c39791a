"""Equations as MathML, which browsers show without a script or a font."""
import html
import re

from latex2mathml.converter import convert

EQUATION = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_page_content(content: str, **_) -> str:
    """Replace what arithmatex leaves of an equation."""
    return EQUATION.sub(_to_mathml, content)


def _to_mathml(match: 're.Match[str]') -> str:
    display = 'block' if match[1] == 'div' else 'inline'
    return convert(html.unescape(match[2]).strip(), display=display)
