"""The docstrings' roles and blocks in the Markdown that the site is made of.

``:math:`` and ``.. math::`` become $...$ and $$...$$, ``:class:`` and the like
become links, and ``::`` starts a code block.
"""
import re
import textwrap
from typing import Dict, Iterator

import griffe

BLOCK = r'((?:\n|\1 +\S.*\n?)+)'
DISPLAY = re.compile(r'^( *)\.\. math::\n' + BLOCK, re.M)
LITERAL = re.compile(r'^( *)(.*)::\n\n' + BLOCK, re.M)
INLINE = re.compile(r':math:`([^`]+)`')
LINK = re.compile(r':(?:class|func|meth|attr):`~?([^`]+)`')


class RstDocstrings(griffe.Extension):
    """Rewrites every docstring of a package, once it is loaded.

    What a package imports for its users is left out of its page, which shows
    the modules that define it.
    """

    def on_package(self, *, pkg: griffe.Module, **_) -> None:
        """Rewrite the docstrings of a package.

        Args:
            pkg (Module): The package.
        """
        objects = list(_objects(pkg))
        paths = {
            known.name: known.path
            for known in objects
            if known.docstring and (known.is_class or known.is_function)
        }
        for known in objects:
            if known.is_module and known.is_init_module:
                known.exports = known.docstring = None
            elif known.docstring:
                known.docstring.value = to_markdown(known.docstring.value,
                                                    paths)


def to_markdown(text: str, paths: Dict[str, str]) -> str:
    r"""Rewrite one docstring.

    Args:
        text (str): The docstring, without its indent.
        paths (dict[str, str]): Full names of classes and functions by name.

    Returns:
        str: The docstring in Markdown, its sections as they were.

    Example:
        >>> to_markdown(':math:`x^2`, see :func:`~a.f`', {'f': 'a.f'})
        '$x^2$, see [`f`][a.f]'
    """

    def link(match: 're.Match[str]') -> str:
        name = match[1].rsplit('.', 1)[-1]
        path = paths.get(name)
        return f'[`{name}`][{path}]' if path else f'`{name}`'

    def display(match: 're.Match[str]') -> str:
        return _fence(match, '$$', '$$')

    def literal(match: 're.Match[str]') -> str:
        lead = f'{match[1]}{match[2]}:\n\n' if match[2] else ''
        return lead + _fence(match, '```python', '```')

    text = re.sub(r'^( *)Example:$', r'\1Examples:', text, flags=re.M)
    text = re.sub(r'^( *)Source:', r'\1**Source:**', text, flags=re.M)
    text = DISPLAY.sub(display, text)
    text = LITERAL.sub(literal, text)
    return LINK.sub(link, INLINE.sub(r'$\1$', text))


def _fence(match: 're.Match[str]', start: str, end: str) -> str:
    body = textwrap.dedent(match[match.lastindex]).strip('\n')
    block = f'{start}\n{body}\n{end}'
    return textwrap.indent(block, match[1]) + '\n\n'


def _objects(parent: griffe.Object) -> Iterator[griffe.Object]:
    yield parent
    for member in parent.members.values():
        if not member.is_alias:
            yield from _objects(member)
