"""No message tells a person to write what no test has tried.

A message counts if its advice, from the first imperative on, names something
to write: an option, an argument, a type, a file, a package. It is tried by a
case whose pattern holds words of that message alone, or by a test named here.
"""
import ast
import re

import test_remedies_help
import test_remedies_of_calls
import test_remedies_of_runs
import test_remedies_of_tools
from test_remedies import REPO, SOURCES

try:
    from re import _parser as parser
except ImportError:
    import sre_parse as parser

VERBS = ('add ask call choose convert copy correct drop end fill fit fix free '
         'freeze give go install keep leave lower make mend move name pass '
         'point put raise reduce remove rename repeat resume save set start '
         'take train try turn unpack unset upgrade use wait widen wrap write')
ADVICE = re.compile(r'(?:^|[.)`;:\]?]\s+|,? or )(?:{0})\b'.format('|'.join(
    f'{verb}|{verb.capitalize()}' for verb in VERBS.split())))
WRITTEN = re.compile(r'--[a-z]|\w=|`|\b(?:tools|configs)/|[a-z]_[a-z]|'
                     r'[A-Z][a-z]+[A-Z]|\bpip\b')
CASES = [pattern for module in (
    test_remedies_help, test_remedies_of_calls, test_remedies_of_runs,
    test_remedies_of_tools) for _, pattern, _ in (
        case[-3:] for case in module.CASES.values())]
# Words of a message: the test that tries its advice.
ELSEWHERE = {}
# Words of a message: why nothing is tried.
EXCEPTIONS = {}


def messages():
    """The texts with such advice, but for those of --help and docstrings."""
    for path in SOURCES:
        tree = ast.parse((REPO / path).read_text('utf-8'))
        skipped = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):
                skipped.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                skipped.update(node.values)
            elif isinstance(node, ast.keyword) and node.arg in (
                    'help', 'description'):
                skipped.update(ast.walk(node.value))
        for node in ast.walk(tree):
            parts = getattr(node, 'values', [node])
            if node in skipped or not isinstance(
                    node, (ast.Constant, ast.JoinedStr)):
                continue
            text = ' '.join(''.join(
                str(getattr(part, 'value', '')) if isinstance(
                    part, ast.Constant) else '{}' for part in parts).split())
            advice = ADVICE.search(text)
            if advice and WRITTEN.search(text, advice.start()):
                yield f'{path}: {text}'


def loosely(pattern):
    """A pattern for a text with {} for what only a run knows."""

    def walk(parts):
        for kind, value in parts:
            kind = str(kind)
            if kind == 'SUBPATTERN':
                yield from walk(value[-1])
            else:
                yield {'LITERAL': lambda: re.escape(chr(value)),
                       'ANY': lambda: '.'}.get(kind, lambda: '.*?')()

    return re.sub(r'(?:\\\s)+', ' ', ''.join(walk(parser.parse(pattern))))


def test_every_remedy_is_tried():
    listed = list(messages())
    assert len(listed) > 150
    tried = set()
    for pattern in [*map(loosely, CASES),
                    *map(re.escape, [*ELSEWHERE, *EXCEPTIONS])]:
        found = {text for text in listed if re.search(pattern, text)}
        assert len(found) <= 1, (pattern, found)
        tried |= found
    missing = [text for text in listed if text not in tried]
    assert not missing, '\n'.join(missing)


def test_what_is_listed_is_there():
    listed = '\n'.join(messages())
    for words in [*ELSEWHERE, *EXCEPTIONS]:
        assert words in listed, words
    for test in ELSEWHERE.values():
        path, _, name = test.partition('::')
        assert f'def {name}(' in (REPO / 'tests' / path).read_text('utf-8')
