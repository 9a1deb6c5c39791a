"""The rule of the house: who may import whom."""
import ast
from pathlib import Path

import pytest

NAME = 'csd_mmpretrain'
PACKAGE = Path(__file__).resolve().parents[1] / NAME
# From the top; a room imports from floors below its own, and from itself.
FLOORS = (('benchmark', 'deployment'), ('methods', ), ('visualization', ),
          ('evaluation', 'hooks'), ('runtime', ), ('checkpoints', ),
          ('datasets', ), ('layers', ), ('utils', ))
HEIGHT = {room: -i for i, floor in enumerate(FLOORS) for room in floor}
# Modules beside the rooms.
ROOT = ('__main__', 'version', 'version_check')


def imports():
    """All imports of the package by itself: who, of what (without NAME)."""
    for path in sorted(PACKAGE.rglob('*.py')):
        importer = path.relative_to(PACKAGE).with_suffix('').parts
        if path.name == '__init__.py' and len(importer) == 1:
            continue  # the package itself, which registers everything
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split('.') for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = [NAME, *importer[:-node.level]] if node.level else []
                base += (node.module or '').split('.') * bool(node.module)
                names = [[*base, alias.name] for alias in node.names]
            for name in names:
                if name[0] == NAME and len(name) > 1:
                    yield importer, tuple(name[1:])


IMPORTS = list(imports())


def show(pairs):
    return [f'{"/".join(who)} imports {".".join(what)}' for who, what in pairs]


def test_the_walk_finds_all_kinds_of_imports():
    assert len(IMPORTS) > 300
    assert (('methods', 'csdnet', 'csd_head'),
            ('layers', 'gather', 'batch_share')) in IMPORTS
    assert (('methods', 'csdnet', 'ssdp_hook'),
            ('methods', 'csdnet', 'csd_head', 'CSDHead')) in IMPORTS


def test_every_folder_has_a_floor():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()
               and path.name[0] not in '._'}
    assert folders == set(HEIGHT)
    assert {path.stem for path in PACKAGE.glob('*.py')} == {
        '__init__', *ROOT}


def test_methods_never_import_each_other():
    assert show(
        (who, what) for who, what in IMPORTS
        if who[0] == what[0] == 'methods' and len(who) > 2
        and who[1] != what[1]) == []


@pytest.mark.parametrize('room', [room for room in HEIGHT
                                  if room != 'methods'])
def test_shared_rooms_never_import_a_method(room):
    assert show((who, what) for who, what in IMPORTS
                if who[0] == room and what[0] == 'methods') == []


@pytest.mark.parametrize('room', HEIGHT)
def test_a_room_imports_from_below_alone(room):
    assert show(
        (who, what) for who, what in IMPORTS
        if who[0] == room and what[0] not in (room, *ROOT)
        and not HEIGHT[what[0]] < HEIGHT[room]) == []
