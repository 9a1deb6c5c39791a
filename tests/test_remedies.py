"""What messages tell a person to write exists; not whether it helps."""
import ast
import inspect
import re
import runpy
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from unittest import mock

import mmengine.registry
import mmpretrain.registry
from mmengine.config import Config
from mmpretrain.utils import require

import csd_mmpretrain  # noqa: F401

REPO = Path(__file__).resolve().parents[1]
SOURCES = [path.relative_to(REPO).as_posix() for folder in (
    'csd_mmpretrain', 'tools') for path in (REPO / folder).rglob('*.py')]
TOOLS = {path for path in SOURCES if path.startswith('tools/')}
# What the parts of a config that name no type are made with.
UNTYPED = {'train_dataloader': 'torch.utils.data.DataLoader',
           'train_cfg': 'EpochBasedTrainLoop', 'optim_wrapper': 'OptimWrapper',
           'randomness': 'mmengine.runner.set_random_seed',
           'data_preprocessor': 'ClsDataPreprocessor'}
NO_TYPES = set(
    'ArcFace CrossBatchMemory DisentanglementMatrix FileClient LayerNorm '
    'HardDiskBackend MultiScaleDeformable PingFang PrototypeExplainer PyTorch '
    'TorchScript TorchServe TorchVision ViTs WenQuanYi YaHei'.split())
NO_FILES = {'cotton80.py', 'folded.py'}  # named for what is run or written
REGISTRIES = [value for value in [
    *vars(mmengine.registry).values(), *vars(mmpretrain.registry).values()]
    if isinstance(value, mmengine.Registry)]
OPTION = r'(?<![\w-])--[a-z][\w-]*'


def texts(source):
    """The strings, but for docstrings; {} for a value."""
    inner = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr):
            inner.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            inner.update(node.values)
            yield ''.join(str(part.value) if isinstance(part, ast.Constant)
                          else '{}' for part in node.values)
        elif isinstance(node, ast.Constant) and node not in inner:
            yield str(node.value)


MESSAGES = [(path, text) for path in SOURCES for text in texts(
    (REPO / path).read_text('utf-8')) if ' ' in text]


def found(*patterns):
    """All places of patterns: the file and the groups."""
    matches = [(path, *match.groups()) for path, text in MESSAGES
               for pattern in patterns for match in re.finditer(pattern, text)]
    assert matches, f'no message has {patterns}'
    return matches


@lru_cache(maxsize=None)
def find_type(name):
    """The class that a config or a message means, or None."""
    return next(filter(None, (known.get(name) for known in REGISTRIES)), None)


def arguments(name):
    """What a type, with those it passes the rest to, can be given."""
    kind = find_type(name)
    kinds = inspect.getmro(kind)[:-1] if inspect.isclass(kind) else [kind]
    return set().union(*(inspect.signature(k).parameters for k in kinds))


@lru_cache(maxsize=None)
def options(tool):
    """The options that a tool's own parser knows."""
    module = runpy.run_path(str(REPO / tool))
    with mock.patch('argparse.ArgumentParser.parse_args', autospec=True,
                    side_effect=SystemExit) as parse, suppress(SystemExit):
        module.get('parse_args', module.get('main'))()
    return set(parse.call_args[0][0]._option_string_actions)


def is_key(part, key):
    """Whether a config takes a dotted key."""
    known, top = set(part), part
    for name in key.split('.'):
        if name not in known:
            return False
        untyped = UNTYPED.get(name) if part is top else None
        part = part.get(name) if isinstance(part.get(name), dict) else {}
        kind = part.get('type') or untyped
        known = {'type', 'dataset', 'optimizer', *part} | (
            arguments(kind) if kind else set())
    return True


def test_options():
    every = set().union(*map(options, TOOLS))
    command = r'([\w/.-]+\.py)((?: (?:[A-Z{][\w.{}]*|--[a-z-]+))*)'
    for path, text in MESSAGES:
        for tool, rest in re.findall(command, text):
            if tool in TOOLS:
                assert set(re.findall(OPTION, rest)) <= options(tool), text
        text = re.sub(command + '|pip install --upgrade', '', text)
        known = options(path) if path in TOOLS else every
        assert set(re.findall(OPTION, text)) <= known, (path, text)


def test_files_and_extras():
    for path, name in found(r'\b((?:configs|docs|tools)/[\w./-]*\w)'):
        assert (REPO / name).exists(), (path, name)
    for path, name in found(r'(?<![\w/{}.-])(\w[\w-]*\.py)\b'):
        assert name in NO_FILES, f'{path}: {name} without its folder'
    setup = (REPO / 'setup.py').read_text('utf-8').split('extras_require')[1]
    extras = dict(re.findall(r'^ {8}(\w+)=\[(.*?)\]', setup, re.M | re.S))
    for path, name in found(r'(?:csd_mmpretrain\[|extras? `)(\w+)'):
        assert name in extras, (path, name)
    for _, package, extra in found(
            r'needs? (?:the package )?([\w-]+):.*csd_mmpretrain\[(\w+)'):
        assert package in extras[extra], (package, extra)


def test_types_and_arguments():
    for path, name in found(r"(?<!_)type='(\w+)'",
                            r'\b([A-Z][a-z]+(?:[A-Z][a-z]+)+)\b'):
        assert name in NO_TYPES or find_type(name), (path, name)
    given = found(r"dict\(type='(\w+)', ([^)]*)", r'([A-Z]\w+): (\w+=)',
                  r'\b([A-Z]\w+)\((\w+=[^)]*)')
    given += [(path, kind, f'{name}=') for path, name, kinds in found(
        r'(\w+)(?:`|=\S+) (?:of|for) ([A-Z]\w+)', r'`(\w+)=[^`]*` \(([^)]*)')
        for kind in re.findall(r'\b[A-Z]\w+', kinds)]
    for path, kind, text in given:
        if find_type(kind):
            names = set(re.findall(r'(\w+)=', text))
            assert names <= arguments(kind), (path, kind, text)


def test_keys():
    cfgs = [Config.fromfile(REPO / f'configs/{name}.py') for name in (
        'crkd/crkd_mobilenet-v2_grocery81', 'csdnet/grocery81',
        'csdnet/grocery81_one-view_prototypes',
        'ecaml/ecaml_resnet50_cotton80',
        'jepa/dseq-jepa_vit-small_cotton80')]
    for path, quote, root, rest in found(
            r'(?<![.\w`])(`?)([a-z]\w*)((?:\.(?!txt|csv)\w+)+)'):
        if root in set().union(*cfgs) or quote and root in ('head', 'neck'):
            assert any(is_key(cfg, root + rest) for cfg in cfgs), (path, rest)


def test_troubleshooting_quotes_real_messages():
    """Each quoted text stands in one message; `...` is anything between."""
    page = (REPO / 'docs/troubleshooting.md').read_text('utf-8')
    quotes = re.findall(r'^\| `([^`]+)` \|', page, re.M)
    assert len(quotes) > 30
    every = [text for _, text in MESSAGES] + [inspect.getsource(require)]
    for quote in quotes:
        parts = [re.escape(part) for part in quote.split('...') if part]
        pattern = re.compile('.*?'.join(parts), re.S)
        assert any(map(pattern.search, every)), quote
