"""Compiled extensions; everything else is in pyproject.toml."""

import gzip
import os
import shlex
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

PACKAGE = "src/fastmlp"
ENGINE = f"{PACKAGE}/engine"
SIMD = f"{ENGINE}/simd"
# What a file of kernels may use beyond what every x86-64 has. A compiler for another processor refuses the flags, and
# the file is then empty.
KERNEL_FLAGS = {
    "avx512": "-mavx512f -mavx512vl -mavx512bw -mavx512dq -mfma -mprefer-vector-width=512".split(),
    "avx2": "-mavx2 -mfma".split(),
    "neon": [],
    "baseline": [],
}
MODULES = {
    "engine/memory": [],
    "engine/blas": [],
    "engine/kernels": [f"{SIMD}/{name}.c" for name in (*KERNEL_FLAGS, "dispatch")],
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
# Files of kernels get -O3, which makes the other modules a sixth larger and not faster.
# Exact arithmetic (no contraction, no fast-math): the same bits on every instruction set. Without errno and traps
# the elementwise loops vectorise.
FLAGS = "-O2 -g0 -std=gnu11 -fno-math-errno -fno-trapping-math -ffp-contract=off -fvisibility=hidden".split()
MSVC_FLAGS = ["/O2", "/std:c11"]
# Ways to OpenMP, for compiling and for linking: GCC's and LLVM's, and that of Apple's clang with libomp installed
OPENMP = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])]
OPENMP_PROGRAM = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


class BuildExt(build_ext):
    """Adds our flags behind the user's CFLAGS, each file's own, and OpenMP where the compiler has it."""

    def build_extensions(self):
        own, own_links = (shlex.split(os.environ.get(name, "")) for name in ("FASTMLP_CFLAGS", "FASTMLP_LDFLAGS"))
        self.own_flags, self.kernel_flags = own, {}
        if self.compiler.compiler_type == "msvc":
            print("MSVC: portable kernels, one thread", file=sys.stderr)
            flags, links = list(MSVC_FLAGS), []
        else:
            flags, links = list(FLAGS), []
            for name, wanted in KERNEL_FLAGS.items():
                # on macOS one call of the compiler may serve both processors
                x86 = [*chain(*(("-Xarch_x86_64", flag) for flag in wanted))] if sys.platform == "darwin" else wanted
                self.kernel_flags[f"{SIMD}/{name}.c"] = ["-O3", *(x86 if self.compiles(x86) else [])]
            for compiles, linked in OPENMP if os.environ.get("FASTMLP_OPENMP", "1") != "0" else ():
                if self.compiles(compiles + own, OPENMP_PROGRAM, linked + own_links):
                    flags += compiles
                    links += linked
                    break
            else:
                print("no OpenMP, building for one thread", file=sys.stderr)
        for extension in self.extensions:
            extension.extra_compile_args = flags
            extension.extra_link_args = links + own_links
        self.parallel = self.parallel or os.cpu_count()
        self.compile_one_by_one, self.compiler.compile = self.compiler.compile, self.compile_at_once
        super().build_extensions()

    def compile_at_once(self, sources, *args, extra_postargs=(), **kwargs):
        """The compiler's own method compiles an extension's sources one after another, all with the same flags."""

        def compile_one(source):
            flags = [*extra_postargs, *self.kernel_flags.get(Path(source).as_posix(), ()), *self.own_flags]
            return self.compile_one_by_one([source], *args, extra_postargs=flags, **kwargs)

        with ThreadPoolExecutor(self.parallel) as pool:
            return [*chain.from_iterable(pool.map(compile_one, sources))]

    def compiles(self, flags, program="int main(void) { return 0; }\n", links=None):
        """Whether a program compiles with these flags and, given links, is linked with them."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                if links is not None:
                    self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=links)
            except Exception as error:
                print(f"{shlex.join(flags)}: {error}", file=sys.stderr)
                return False
        return True


class Sdist(sdist):
    """With SOURCE_DATE_EPOCH, in seconds, an archive that is the same bytes for the same files."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        if "SOURCE_DATE_EPOCH" not in os.environ or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)
        epoch = int(os.environ["SOURCE_DATE_EPOCH"])

        def plain(member):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            member.mtime = epoch
            return member

        path = f"{base_name}.tar.gz"
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name in sorted(path for path in Path(base_dir).rglob("*") if path.is_file()):
                archive.add(name, filter=plain)
        return path


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
    cmdclass={"build_ext": BuildExt, "sdist": Sdist},
)
