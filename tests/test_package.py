"""Installing, importing and the project's own files."""
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from csd_mmpretrain.version import __version__
from csd_mmpretrain.version_check import REQUIREMENTS, check_environment

PACKAGED = ('csd_mmpretrain', 'configs', 'tools', 'docs', 'tests')


def importer(**found):
    """Import fakes: a version, an exception to raise, or None for missing."""

    def import_module(name):
        value = found.get(name, '99.0')
        if value is None:
            value = ModuleNotFoundError(f'No module named {name!r}', name=name)
        if isinstance(value, Exception):
            raise value
        return SimpleNamespace(
            __version__=value,
            zeros=lambda n: SimpleNamespace(numpy=found.get('numpy', list)))

    return import_module


def problems(**found):
    """The lines of the error; none where all is well."""
    try:
        check_environment(importer(**found))
    except ImportError as error:
        return re.findall(r'^  - (.*)$', str(error), re.M)
    return []


def test_this_environment_is_fit():
    check_environment()


@pytest.mark.parametrize('name', [name for name, _ in REQUIREMENTS])
def test_missing_package_is_named_with_both_remedies(name):
    with pytest.raises(ImportError) as caught:
        check_environment(importer(**{name: None}))
    message, = caught.value.args
    assert f'  - {name} is not installed' in message
    assert sys.prefix in message
    assert 'pip install torch torchvision mmengine mmcv-lite' in message
    assert 'onedl-mmengine onedl-mmcv onedl-mmpretrain' in message


@pytest.mark.parametrize('name, lowest', REQUIREMENTS)
def test_too_old_package_is_named(name, lowest):
    problem, = problems(**{name: '0.1.2'})
    assert problem == f'{name} 0.1.2 is too old, {lowest} or newer is needed'


@pytest.mark.parametrize('torch, mmcv, fits', [
    ('2.1', '2.0.0', True),
    ('2.1.0+cu121', '2.0.0rc4', True),
    ('2.15.0+cu132', '2.10.0', True),
    ('2.2.0a0+gitabc123', '2.2.3.4', True),
    ('2.0.9', '2.0.0', False),
    ('2+cu121', '2.0.0', False),
    ('2.1', '1.7.2', False),
    ('unknown', '2.0.0', False),
])
def test_versions_are_compared_by_their_numbers(torch, mmcv, fits):
    assert (problems(torch=torch, mmcv=mmcv) == []) is fits


def test_mmcv_that_mmpretrain_refuses_is_passed_on():
    refusal = AssertionError('MMCV==9.0 is used but incompatible. '
                             'Please install mmcv>=2.0.0, <2.4.0.')
    problem, = problems(mmpretrain=refusal)
    assert problem.startswith('mmpretrain is installed but does not import')
    assert str(refusal) in problem


def test_torchvision_of_another_torch_is_named():
    broken = RuntimeError('operator torchvision::nms does not exist')
    with pytest.raises(ImportError, match='torchvision::nms') as caught:
        check_environment(importer(torchvision=broken))
    assert 'pip install --upgrade torch torchvision' in str(caught.value)


def test_all_problems_are_named_at_once():
    found = problems(torch='1.9', mmcv=None, mmpretrain=OSError('broken'))
    assert [problem.split()[0] for problem in found] == [
        'torch', 'mmcv', 'mmpretrain']


def test_missing_package_is_named_once():
    torch = ModuleNotFoundError("No module named 'torch'", name='torch')
    assert len(problems(torch=torch, torchvision=torch)) == 1


def test_missing_dependency_of_a_package_is_named():
    yaml = ModuleNotFoundError("No module named 'yaml'", name='yaml')
    problem, = problems(mmengine=yaml)
    assert problem.startswith('mmengine is installed but does not import')
    assert 'yaml' in problem


def test_numpy_that_torch_cannot_use_is_named():

    def numpy():
        raise RuntimeError('Numpy is not available')

    problem, = problems(numpy=numpy)
    assert "pip install 'numpy<2'" in problem


def test_import_in_a_bare_interpreter_names_everything(repo_root):
    done = subprocess.run(
        [sys.executable, '-S', '-c', 'import csd_mmpretrain'],
        env=dict(os.environ, PYTHONPATH=str(repo_root)),
        capture_output=True,
        text=True)
    assert done.returncode != 0
    for name, _ in REQUIREMENTS:
        assert f'{name} is not installed' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not re.search('^  File', done.stderr, re.M)


def pip_wheel(source, out):
    """Build a wheel without a network, as `pip wheel` does."""
    subprocess.run([
        sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-index',
        '--no-deps', '--no-build-isolation', '--wheel-dir', out, source
    ], check=True)
    wheel, = Path(out).glob('*.whl')
    return wheel


@pytest.fixture(scope='module')
def source(repo_root, tmp_path_factory):
    """A copy of the checkout, so that building leaves no traces in it."""
    copy = tmp_path_factory.mktemp('package') / 'a checkout'
    copy.mkdir()
    for path in repo_root.iterdir():
        if path.name in PACKAGED:
            shutil.copytree(
                path, copy / path.name,
                ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        elif path.is_file():
            shutil.copy(path, copy)
    return copy


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    """The wheel of the checkout."""
    return zipfile.ZipFile(
        pip_wheel(source, tmp_path_factory.mktemp('wheel')))


def mim_files(source):
    """The files that belong in `.mim`, with their paths in a wheel."""
    files = [source / 'model-index.yml']
    for folder in ('configs', 'tools'):
        files += [x for x in (source / folder).rglob('*') if x.is_file()]
    return {
        f'csd_mmpretrain/.mim/{x.relative_to(source).as_posix()}': x
        for x in files
    }


def packaged_mim_files(wheel):
    return {x for x in wheel.namelist()
            if x.startswith('csd_mmpretrain/.mim/') and not x.endswith('/')}


def test_wheel_has_the_mim_files(source, wheel):
    expected = mim_files(source)
    assert any(x.endswith('csdnet/cotton80.py') for x in expected)
    assert packaged_mim_files(wheel) == set(expected)
    for name, path in expected.items():
        assert wheel.read(name) == path.read_bytes()
    assert not (source / 'csd_mmpretrain' / '.mim').exists()


def test_wheel_has_the_package_and_nothing_else(source, wheel):
    tops = {name.split('/')[0] for name in wheel.namelist()}
    assert tops == {
        'csd_mmpretrain', f'csd_mmpretrain-{__version__}.dist-info'}
    modules = {x.relative_to(source).as_posix()
               for x in (source / 'csd_mmpretrain').rglob('*.py')}
    assert modules <= set(wheel.namelist())


def test_wheel_forgets_files_of_an_earlier_build(source, tmp_path):
    stale = source / 'build' / 'lib' / 'csd_mmpretrain' / 'stale.py'
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.touch()
    names = zipfile.ZipFile(pip_wheel(source, tmp_path)).namelist()
    assert 'csd_mmpretrain/stale.py' not in names


def test_wheel_requires_nothing_outright(wheel):
    metadata = email.message_from_bytes(
        wheel.read(f'csd_mmpretrain-{__version__}.dist-info/METADATA'))
    assert metadata['Version'] == __version__
    extras = metadata.get_all('Provides-Extra')
    assert {'openmmlab', 'onedl', 'vis', 'dev'} <= set(extras)
    for requirement in metadata.get_all('Requires-Dist'):
        assert 'extra ==' in requirement
        assert '==' not in requirement.split(';')[0]


def test_config_basenames_are_unique_in_the_package(wheel):
    """`mim` walks the whole package for a config's basename."""
    names = Counter(x.rsplit('/', 1)[-1] for x in wheel.namelist())
    configs = [x.rsplit('/', 1)[-1] for x in wheel.namelist()
               if x.startswith('csd_mmpretrain/.mim/configs/')
               and x.endswith('.py')]
    assert configs and [x for x in configs if names[x] > 1] == []


def build(source, kind, out):
    """Call a hook of the build backend, as pip and build do."""
    code = 'import sys, setuptools.build_meta as b; b.build_%s(sys.argv[1])'
    subprocess.run([sys.executable, '-c', code % kind, out],
                   cwd=source, check=True, capture_output=True)
    made, = out.iterdir()
    return made


def test_wheel_from_an_sdist_has_the_mim_files(source, tmp_path):
    archive = build(source, 'sdist', tmp_path / 'sdist')
    with tarfile.open(archive) as unpacked:
        names = {x.split('/', 1)[-1] for x in unpacked.getnames()}
    assert {'README.md', 'LICENSE', 'Makefile', 'tests/conftest.py'} <= names
    wheel = zipfile.ZipFile(pip_wheel(archive, tmp_path / 'wheel'))
    assert packaged_mim_files(wheel) == set(mim_files(source))


def test_editable_install_lets_mim_find_the_checkout(source, tmp_path):
    (source / 'csd_mmpretrain' / '.mim').mkdir(exist_ok=True)
    built = build(source, 'editable', tmp_path / 'editable')
    site = tmp_path / 'site-packages'
    zipfile.ZipFile(built).extractall(site)
    top_level = next(site.glob('*.dist-info/top_level.txt')).read_text()
    # what mim and mmengine make of it
    package = Path(os.path.join(site, top_level.split('\n')[0]))
    assert package == source / 'csd_mmpretrain'
    assert 'csd_mmpretrain' in top_level.split('\n')
    for name, path in mim_files(source).items():
        assert (package.parent / name).samefile(path)
    done = subprocess.run(
        [sys.executable, '-S', '-c',
         f'import site; site.addsitedir({str(site)!r}); '
         'import importlib.util as u; '
         'print(u.find_spec("csd_mmpretrain").origin)'],
        cwd=tmp_path, check=True, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'})
    assert Path(done.stdout.strip()) == package / '__init__.py'


def test_mim_files_are_copied_where_links_fail(source, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import os, pathlib\n'
        'def refuse(*args, **kwargs):\n'
        "    raise OSError('no links here')\n"
        'os.symlink = pathlib.Path.symlink_to = refuse\n')
    path = os.pathsep.join([str(tmp_path), os.environ['PYTHONPATH']])
    code = 'import sys, setuptools.build_meta as b; ' \
        'b.build_editable(sys.argv[1])'
    subprocess.run([sys.executable, '-c', code, tmp_path / 'editable'],
                   cwd=source, check=True, capture_output=True,
                   env=dict(os.environ, PYTHONPATH=path))
    for name, path in mim_files(source).items():
        assert not (source / name).is_symlink()
        assert (source / name).read_bytes() == path.read_bytes()


def test_version_is_the_same_everywhere(repo_root):
    for name in ('CITATION.cff', 'CHANGELOG.md'):
        assert __version__ in (repo_root / name).read_text()


def make(repo_root, *arguments):
    return subprocess.run(['make', '--no-print-directory', *arguments],
                          cwd=repo_root, capture_output=True, text=True)


def test_make_help_lists_the_targets(repo_root):
    makefile = (repo_root / 'Makefile').read_text()
    targets = re.search(r'^\.PHONY: help (.*)$', makefile, re.M).group(1)
    shown = make(repo_root).stdout
    assert set(targets.split()) <= set(re.findall(r'^make (\w+)', shown, re.M))
    for name in re.findall(r'^([A-Z_]+) \?=', makefile, re.M):
        assert f'{name}=' in shown


@pytest.mark.parametrize('version, fits', [
    ('3.8', False), ('3.9', True), ('3.12', True), ('3.13', False)])
def test_make_setup_refuses_other_pythons(
        repo_root, tmp_path, version, fits):
    """A stand-in for the program answers with another version."""
    python = tmp_path / 'python'
    python.write_text(f"""#!{sys.executable}
import sys
if sys.argv[1] != '-c':
    sys.exit('made a venv')
sys.version_info = tuple(map(int, {version!r}.split('.')))
exec(sys.argv[2])
""")
    python.chmod(0o755)
    done = make(repo_root, 'setup', f'VENV={tmp_path}/venv',
                f'PYTHON={python}')
    assert done.returncode != 0
    if fits:
        assert 'made a venv' in done.stderr
    else:
        assert f'is Python {version}, but 3.9 to 3.12' in done.stderr
        assert 'PYTHON=python3.12' in done.stderr


def test_ci_runs_what_the_readme_says(repo_root):
    script = repo_root / '.ci' / 'run'
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == 'make test'
    assert 'make test' in (repo_root / 'README.md').read_text()


def test_tracked_files_name_no_machine_and_no_registry(repo_root):
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=repo_root,
                            capture_output=True, text=True)
    if listed.returncode:
        pytest.skip('not a git checkout')
    # written so that this file does not find itself
    pattern = re.compile('|'.join([
        r'/wor[k]/', r'/roo[t]/', r'/hom[e]/\w', r'/User[s]/\w',
        r'pypi\.or[g]', r'pythonhosted\.or[g]', r'download\.pytorc[h]',
        r'/op[t]/']))
    found = []
    for name in filter(None, listed.stdout.split('\0')):
        path = repo_root / name
        if path.suffix in ('.png', '.jpg', '.npz') or not path.is_file():
            continue
        text = path.read_text(encoding='utf-8')
        found += [f'{name}: {m.group()}' for m in pattern.finditer(text)]
    assert found == []
