"""Metadata of the package, and the files by which `mim` finds its configs."""
import os
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

NAME = 'csd_mmpretrain'
ROOT = Path(__file__).resolve().parent
MIM_FILES = ('tools', 'configs', 'model-index.yml')


def make_mim(mim: Path, link: bool) -> None:
    """Put the tools, the configs and the model index in a `.mim` folder.

    Args:
        mim (Path): The folder; an older one is replaced.
        link (bool): Link to the checkout's files, so that edits show at once.
            They are copied where the file system has no links.
    """
    shutil.rmtree(mim, ignore_errors=True)
    mim.mkdir(parents=True)
    for name in MIM_FILES:
        source, target = ROOT / name, mim / name
        if link:
            try:
                target.symlink_to(os.path.relpath(source, mim))
                continue
            except OSError:
                pass
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(source, target)


class BuildPyWithMim(build_py):
    """Adds `.mim`: copies in a wheel, links for an editable install."""

    def run(self) -> None:
        """Build the package, then its `.mim` folder."""
        package = ROOT if self.editable_mode else Path(self.build_lib)
        package = package / NAME
        if not self.editable_mode:
            shutil.rmtree(package, ignore_errors=True)
        super().run()
        make_mim(package / '.mim', link=self.editable_mode)


class EditableWheelForMim(editable_wheel):
    """Lets `mim` find the checkout of an editable install.

    `mim` joins site-packages and the first line of `top_level.txt`; an
    absolute path there leads it to the checkout.
    """

    def _ensure_dist_info(self) -> None:
        super()._ensure_dist_info()
        top_level = Path(self.dist_info_dir, 'top_level.txt')
        top_level.write_text(f'{ROOT / NAME}\n{NAME}\n', encoding='utf-8')


# For `_base_ = 'mmpretrain::...'` mmengine needs pkg_resources, which
# setuptools 82 has dropped.
TORCH = ['torch>=2.1', 'torchvision', 'setuptools<82']

# Nothing is required outright: mmengine, mmcv and mmpretrain each come as
# several distributions, and pip would put one over another. The package
# checks them by import name, and the extras install them.
setup(
    name=NAME,
    version=runpy.run_path(str(ROOT / NAME / 'version.py'))['__version__'],
    description='CSDNet for ultra-fine-grained visual categorization, '
    'as a plugin of mmpretrain',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='fine-grained, image classification, self-distillation',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    python_requires='>=3.9,<3.13',
    install_requires=[],
    extras_require=dict(
        openmmlab=[*TORCH, 'mmengine', 'mmcv-lite', 'mmpretrain'],
        onedl=[*TORCH, 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain'],
        timm=['timm'],
        datasets=['scipy'],
        vis=['matplotlib', 'scikit-learn'],
        umap=['umap-learn'],
        cam=['grad-cam>=1.5', 'matplotlib'],
        deploy=['onnx', 'onnxruntime', 'torch-model-archiver'],
        demo=['gradio>=6; python_version >= "3.10"', 'matplotlib'],
        # 3.0 has other names and arguments, and ArcFace's margin in radians.
        bench=['pytorch-metric-learning>=2.0,<3', 'matplotlib', 'scipy'],
        docs=[
            'mkdocs<2', 'mkdocs-material', 'mkdocstrings-python',
            'latex2mathml', 'nbconvert', 'ipykernel'
        ],
        dev=[
            'hypothesis', 'playwright', 'pytest', 'pytest-xdist', 'ruff',
            'setuptools>=70.1,<82', 'tensorboard'
        ]),
    entry_points=dict(
        console_scripts=['csd = csd_mmpretrain.__main__:main']),
    cmdclass=dict(build_py=BuildPyWithMim, editable_wheel=EditableWheelForMim),
    zip_safe=False)
