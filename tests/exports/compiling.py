"""A C compiler, with every warning an error."""

import ctypes
import shutil
import subprocess

CC = shutil.which("gcc") or shutil.which("cc")
STRICT = "-Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wdouble-promotion".split()
C99 = ["-std=c99", "-Wmissing-prototypes", *STRICT]
# -ffast-math, but for what it does to the process that it is linked into
FAST = (
    "-ffinite-math-only -fno-signed-zeros -fno-trapping-math -fassociative-math -freciprocal-math -fno-math-errno"
    " -ffp-contract=fast"
).split()
SANITIZE = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]


def run(command, **kwargs):
    """What a command writes; it must succeed."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def library_of(folder, sources, *flags):
    """Sources, by the names of their functions, as one library."""
    files = []
    for name, source in sources.items():
        files.append(folder / f"{name}.c")
        files[-1].write_text(source)
    library = folder / f"models{len(list(folder.iterdir()))}.so"
    run([CC, *C99, "-O1", *flags, "-shared", "-fPIC", *files, "-o", library, "-lm"])
    return ctypes.CDLL(str(library))


def outputs_of(folder, main):
    """What programs of a source `main` and the folder's net.c write, each compiled as C and as C++."""
    for name in ("main.c", "main.cpp"):
        (folder / name).write_text(main)
    run([CC, *C99, "-c", "net.c", "-o", "net.o"], cwd=folder)
    run([CC, *C99, "main.c", "net.o", "-lm", "-o", "main"], cwd=folder)
    programs = ["./main"]
    if shutil.which("g++") is not None:
        run(["g++", "-std=c++11", *STRICT, "-x", "c++", "-c", "net.c", "-o", "netpp.o"], cwd=folder)
        for of in ("net", "netpp"):
            run(["g++", "-std=c++11", *STRICT, "main.cpp", f"{of}.o", "-lm", "-o", f"with_{of}"], cwd=folder)
            programs.append(f"./with_{of}")
    return [run([program], cwd=folder) for program in programs]


def memory_of(folder, source, *flags):
    """The bytes of a source's constants and of its static memory."""
    (folder / "net.c").write_text(source)
    run([CC, *C99, *flags, "-c", "net.c", "-o", "net.o"], cwd=folder)
    rows = [line.split() for line in run(["nm", "-S", "net.o"], cwd=folder).splitlines()]
    sizes = {"r": 0, "b": 0}
    for _, size, kind, _ in (row for row in rows if len(row) == 4 and row[2] not in "tT"):
        sizes[kind.lower()] += int(size, 16)
    return sizes["r"], sizes["b"]


def has_sanitizers(folder):
    """Whether the compiler and its library have those of `SANITIZE`."""
    (folder / "probe.c").write_text("int main(void) { return 0; }")
    return not subprocess.run([CC, *SANITIZE, "probe.c", "-o", "probe"], cwd=folder, capture_output=True).returncode
