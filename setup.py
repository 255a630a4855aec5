"""What is compiled; pyproject.toml says all else. Where there is no C compiler, these modules run as they are."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# A module says so itself, in its first line.
COMPILED = [path for path in sorted(Path("tap").rglob("*.py")) if path.read_text("utf-8").startswith("# cython:")]
SHARED = "tap._cyutility"  # Cython's memoryviews: once, in place of once per module, which is half of all the C


class Build(build_ext):
    def build_extensions(self) -> None:
        # All into C before the first is compiled: Cython works in processes, and `parallel` in threads.
        translated = cythonize(self.extensions, nthreads=os.cpu_count() or 1, shared_utility_qualified_name=SHARED)
        for extension, in_c in zip(self.extensions, translated, strict=True):
            extension.sources = in_c.sources
        super().build_extensions()


def extension(source: Path) -> Extension:
    # -g0: the debug information that Python's own flags ask for takes as long as the code.
    name = ".".join(source.with_suffix("").parts)
    return Extension(name, [str(source)], extra_compile_args=["-O3", "-g0"], optional=True)


setup(
    ext_modules=[extension(Path(SHARED.replace(".", "/") + ".c")), *map(extension, COMPILED)],
    cmdclass={"build_ext": Build},
    options={"build_ext": {"parallel": True}},
)
