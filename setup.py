"""What is compiled; pyproject.toml says all else. Where there is no C compiler, these modules run as they are."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMPILED = (
    "tap.replication.acks",
    "tap.replication.passing",
    "tap.replication.scanner",
    "tap.rdb.crc64",
    "tap.rdb.integers",
    "tap.rdb.jsonl",
    "tap.rdb.keys",
    "tap.rdb.lzf",
    "tap.rdb.packed",
    "tap.rdb.parser",
    "tap.rdb.strings",
    "tap.rdb.summary",
    "tap.rdb.tape",
    "tap.rdb.values",
    "tap.recording.intake",
    "tap.recording.packets",
    "tap.recording.redactor",
)
SHARED = "tap._cyutility"  # Cython's memoryviews: once, in place of once per module, which is half of all the C


class Build(build_ext):
    def build_extensions(self) -> None:
        # All into C before the first is compiled: Cython works in processes, and `parallel` in threads.
        translated = cythonize(self.extensions, nthreads=os.cpu_count() or 1, shared_utility_qualified_name=SHARED)
        for extension, in_c in zip(self.extensions, translated, strict=True):
            extension.sources = in_c.sources
        super().build_extensions()


def extension(name: str, suffix: str) -> Extension:
    # -g0: the debug information that Python's own flags ask for takes as long as the code.
    return Extension(name, [name.replace(".", "/") + suffix], extra_compile_args=["-O3", "-g0"], optional=True)


setup(
    ext_modules=[extension(SHARED, ".c"), *(extension(name, ".py") for name in COMPILED)],
    cmdclass={"build_ext": Build},
    options={"build_ext": {"parallel": True}},
)
