"""Compiled extensions; everything else is in pyproject.toml."""

import os
import shlex
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = "src/fastmlp"
ENGINE = f"{PACKAGE}/engine"
SIMD = f"{ENGINE}/simd"
MODULES = {
    "engine/memory": [],
    "engine/blas": [],
    "engine/kernels": [f"{SIMD}/{name}.c" for name in ("avx512", "avx2", "baseline", "dispatch")],
    "engine/threads": [],
    "engine/source": [],
    "engine/layers": [],
    "engine/kinds": [],
    "engine/passes": [],
    "engine/forward": [],
    "engine/average": [],
    "engine/gradients": [],
    "engine/step": [],
    "engine/plan": [],
    "engine/update": [],
    "engine/network": [],
    "engine/perceptron": [],
    "data/encoding": [],
}
# Exact arithmetic (no contraction, no fast-math): the same bits on every instruction set. Without errno and traps
# the elementwise loops vectorise.
FLAGS = "-O3 -g0 -std=gnu11 -fno-math-errno -fno-trapping-math -ffp-contract=off -fvisibility=hidden".split()


class BuildExt(build_ext):
    """Adds our flags behind the user's CFLAGS, and OpenMP where the compiler has it."""

    def build_extensions(self):
        if self.compiler.compiler_type != "msvc":
            flags, links = list(FLAGS), []
            if os.environ.get("FASTMLP_OPENMP", "1") != "0" and self.has_openmp():
                flags.append("-fopenmp")
                links.append("-fopenmp")
            flags += shlex.split(os.environ.get("FASTMLP_CFLAGS", ""))
            links += shlex.split(os.environ.get("FASTMLP_LDFLAGS", ""))
            for extension in self.extensions:
                extension.extra_compile_args = flags
                extension.extra_link_args = links
        self.parallel = self.parallel or os.cpu_count()
        self.compile_one_by_one, self.compiler.compile = self.compiler.compile, self.compile_at_once
        super().build_extensions()

    def compile_at_once(self, sources, *args, **kwargs):
        """The compiler's own method compiles an extension's sources one after another."""
        with ThreadPoolExecutor(self.parallel) as pool:
            return [*chain.from_iterable(
                pool.map(lambda source: self.compile_one_by_one([source], *args, **kwargs), sources)
            )]

    def has_openmp(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "openmp.c")
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=["-fopenmp"])
                self.compiler.link_executable(objects, str(Path(folder, "openmp")), extra_postargs=["-fopenmp"])
            except Exception as error:
                print(f"no OpenMP, building for one thread: {error}", file=sys.stderr)
                return False
        return True


setup(
    ext_modules=cythonize(
        [
            Extension(
                f"fastmlp.{name.replace('/', '.')}",
                [f"{PACKAGE}/{name}.pyx", *sources],
                include_dirs=[ENGINE],
                depends=[str(p) for p in Path(ENGINE).glob("**/*.h")],
            )
            for name, sources in MODULES.items()
        ],
        language_level=3,
        compiler_directives={
            "cdivision": True,
            "embedsignature": True,
            "freethreading_compatible": True,
        },
    ),
    cmdclass={"build_ext": BuildExt},
)
