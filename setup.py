"""Build hvc_mm, with the folder `.mim` that OpenMMLab's tools look into.

Names and ranges only: the exact versions that were tried together are in
`requirements/`. torch, torchvision and mmcv (or mmcv-lite) are the user's own
choice of build, so they are not required here; `import hvc_mm` says what is
missing and how to get it.
"""

import os
import shutil
from pathlib import Path
from zlib import crc32

from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = 'hvc_mm'
# What goes into `hvc_mm/.mim` of the installed package, where `mim` looks for
# it.
MIM_REQUIRED = ('configs', 'tools', 'requirements')
MIM_OPTIONAL = ('model-index.yml',)

# The search of label propagation, loaded by ctypes. Where it can't be built,
# torch does the search. The checksum tells a library of other sources.
KERNEL_SOURCES = [
    f'{PACKAGE}/csrc/windowed_topk.cpp',
    f'{PACKAGE}/csrc/windowed_topk_simd.h',
]
CHECKSUM = crc32(b''.join((ROOT / one).read_bytes() for one in KERNEL_SOURCES))
KERNEL = Extension(
    f'{PACKAGE}.csrc._windowed_topk',
    KERNEL_SOURCES[:1],
    depends=KERNEL_SOURCES[1:],
    define_macros=[('SOURCES', f'INT64_C({CHECKSUM})')],
    extra_compile_args=[
        '-O3',
        '-std=c++17',
        '-ffp-contract=fast',
        '-fvisibility=hidden',
        '-pthread',
    ],
    extra_link_args=['-pthread'],
    language='c++',
    optional=True,
)

INSTALL_REQUIRES = [
    'filelock',
    # Of pandas, for LaTeX tables; torch has it anyway.
    'jinja2',
    'mmengine>=0.10.0,<1.0.0',
    'numpy>=1.21',
    'packaging',
    'pandas',
    'pillow',
    'rich',
    'scipy',
    # Reports damage in JPEGs; 1.7.3 is the last one for Python 3.8.
    'simplejpeg>=1.7.3',
]
EXTRAS_REQUIRE = {
    # mmcv with operators has to be there first. MMDetection draws tracks with
    # seaborn, and does not ask for it.
    'det': ['mmdet>=3.0.0rc5,<3.4.0', 'seaborn'],
    # What MMTracking 1.0.0rc1 needs beside itself. It, mmcls and trackeval
    # are installed with --no-deps: their metadata cannot be satisfied.
    'track': [
        'attributee',
        'lap',
        'matplotlib',
        'modelindex',
        'motmetrics',
        'pycocotools',
        'scikit-learn',
        'seaborn',
        'six',
        'tabulate',
        'terminaltables',
        'tqdm',
    ],
    # The photographs in these wheels make the sample data set.
    'sample': ['pycocotools', 'scikit-image', 'scikit-learn'],
    # Backbones. timm has DINOv3 from 1.0.20 on, transformers has DINOv2 with
    # registers from 4.48 on and DINOv3 from 4.56 on.
    'timm': ['timm>=1.0.20'],
    'transformers': ['safetensors', 'transformers>=4.46'],
    # The scoreboard's page.
    'report': ['jinja2', 'plotly>=5.13'],
    # Videos in H.264, which browsers show too.
    'video': ['av'],
    # The page in the browser; Python 3.10 or later. av: see `video`.
    'web': ['av', 'gradio>=6.0'],
    # Drives a browser that is there, to test that page.
    'browser': ['playwright'],
    # Runs docs/tutorial.ipynb; JupyterLab shows it.
    'notebook': ['ipykernel', 'matplotlib', 'nbclient', 'nbformat'],
    # Curves of a training in the browser.
    'tensorboard': ['tensorboard'],
    'tests': [
        'hypothesis',
        'pycocotools',
        'pytest',
        'pytest-timeout',
        'scikit-image',
        'scikit-learn',
        'tensorboard',
        'vos-benchmark',
    ],
    'lint': ['ruff'],
    'docs': ['furo', 'myst-parser', 'sphinx'],
}


def mim_entries():
    """Paths under ROOT that belong into `.mim`."""
    for name in MIM_REQUIRED:
        if not (ROOT / name).is_dir():
            raise FileNotFoundError(
                f'{ROOT / name}: not found, but the package ships it; '
                'build from a whole checkout or source archive'
            )
        yield ROOT / name
    for name in MIM_OPTIONAL:
        if (ROOT / name).is_file():
            yield ROOT / name


def mim_files():
    """Every file below `mim_entries`, caches left out."""
    for entry in mim_entries():
        for path in [entry] if entry.is_file() else sorted(entry.rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                yield path


def link_mim():
    """An editable install: links, so that an edit needs no new install."""
    mim = ROOT / PACKAGE / '.mim'
    shutil.rmtree(mim, ignore_errors=True)
    mim.mkdir()
    for entry in mim_entries():
        link = mim / entry.name
        try:
            link.symlink_to(os.path.relpath(entry, mim))
        except OSError:  # Windows without the right to make links
            copy = shutil.copytree if entry.is_dir() else shutil.copy2
            copy(entry, link)


class BuildPyWithMim(build_py):
    """Adds `.mim`: copies in a wheel, links in an editable install.

    `pip install .`, wheels and today's `pip install -e .` all run `build_py`;
    the last one (the command `editable_wheel`) sets `editable_mode`.
    """

    def run(self):
        if getattr(self, 'editable_mode', False):
            super().run()
            link_mim()
            return
        # What an earlier build left there would be shipped again, files that
        # are gone since included.
        shutil.rmtree(os.path.join(self.build_lib, PACKAGE), True)
        super().run()
        for source, target in self._mim_outputs():
            self.mkpath(os.path.dirname(target))
            self.copy_file(str(source), target)

    def _mim_outputs(self):
        mim = os.path.join(self.build_lib, PACKAGE, '.mim')
        for source in mim_files():
            yield source, os.path.join(mim, str(source.relative_to(ROOT)))

    def get_outputs(self, include_bytecode=1):
        outputs = super().get_outputs(include_bytecode)
        if getattr(self, 'editable_mode', False):
            return outputs
        return outputs + [target for _, target in self._mim_outputs()]


def commands():
    """Command classes; `develop` only where setuptools still has its own."""
    found = {'build_py': BuildPyWithMim}
    try:
        from setuptools.command.develop import develop
    except ImportError:
        return found

    class DevelopWithMim(develop):
        """`setup.py develop`, which pip before 21.3 runs for `-e`."""

        def run(self):
            link_mim()
            super().run()

    found['develop'] = DevelopWithMim
    return found


def version():
    """The version, read without importing the package."""
    scope = {}
    exec((ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def readme():
    """The project's page, if the checkout has one."""
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.is_file() else ''


setup(
    name=PACKAGE,
    version=version(),
    description='Hybrid Visual Correspondence: self-supervised video object '
    'segmentation for OpenMMLab',
    long_description=readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    ext_modules=[KERNEL],
    # What the scoreboard's page and the one to segment videos are made from.
    package_data={
        f'{PACKAGE}.scoreboard': ['*.html'],
        f'{PACKAGE}.web': ['*.html', '*.css', '*.js'],
    },
    python_requires='>=3.8',
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    cmdclass=commands(),
    zip_safe=False,
)
