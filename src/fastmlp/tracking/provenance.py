"""What a result is made of: code, versions, processor, data; and a digest of what came out."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ..engine.kernels import default_isa
from ..training.identity import data_description

__all__ = ["arrays_digest", "data_fingerprint", "git_state", "machine", "own_source", "versions"]


def git_state(folder: str | os.PathLike[str] = ".") -> dict[str, str] | None:
    """The commit of the repository that a folder is in, and what differs from it.

    Parameters
    ----------
    folder : str or path, default="."

    Returns
    -------
    state : dict of str to str, or None
        "commit"; "difference", of the files that Git knows, as ``git apply`` takes it; "root", the folder of the
        repository. None outside of a repository, before its first commit, and without Git.
    """

    def git(*args: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, check=True)
        return done.stdout.decode("utf-8", "surrogateescape")

    try:
        commit, root = git("rev-parse", "HEAD").strip(), git("rev-parse", "--show-toplevel").strip()
        return {"commit": commit, "difference": git("-C", root, "diff", "--binary", "HEAD"), "root": root}
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def own_source() -> dict[str, str] | None:
    """The same of the checkout that fastmlp is imported from; None where it is installed."""
    package = Path(__file__).parents[1]
    try:
        command = ["git", "-C", str(package), "ls-files", "--error-unmatch", "__init__.py"]
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # an environment may be in a repository that does not know it
        return None
    return git_state(package)


def versions() -> dict[str, str]:
    """Version of each distribution that the process has imported a package of, by its name."""
    of = _distributions(tuple(sys.path))
    names = {name for module in list(sys.modules) if "." not in module for name in of.get(module, ())}
    found = {name: _version(name) for name in sorted(names)}
    return found | {"fastmlp": sys.modules["fastmlp"].__version__}


@cache
def _distributions(path: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Names of distributions by package; reading them takes a second."""
    return importlib.metadata.packages_distributions()


_version = cache(importlib.metadata.version)


def machine() -> dict[str, str]:
    """Processor, instruction set of fastmlp's kernels, operating system and Python, as a dict of str."""
    processor = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    except OSError:
        pass  # not Linux
    python = platform.python_version()
    return {"processor": processor, "isa": default_isa(), "platform": platform.platform(), "python": python}


def data_fingerprint(*parts: Any) -> str:
    """A digest of arrays and tables by their values, dtypes and names of columns.

    Parameters
    ----------
    *parts : ndarray, sparse matrix, table of pandas, list or None
        Such as X and y.

    Returns
    -------
    digest : str
        32 hexadecimal digits.
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        if hasattr(part, "columns") and hasattr(part, "to_numpy"):
            columns: list[tuple[str, Any]] = [(str(name), np.asarray(part[name])) for name in part.columns]
        elif issparse(part):
            columns = [("", part.tocsr())]
        else:
            columns = [("", None if part is None else np.asarray(part))]
        for name, values in columns:
            digest.update(f"{len(name)} {name} {data_description(values)}\n".encode())
    return digest.hexdigest()


def arrays_digest(estimator: Any) -> str:
    """A digest of all bits of the arrays that were fitted.

    Parameters
    ----------
    estimator : estimator
        Fitted; of a pipeline, a search or an ensemble the arrays of all parts count.

    Returns
    -------
    digest : str
        32 hexadecimal digits, the same for the same bits.
    """
    digest = blake2b(digest_size=16)
    for path, array in _arrays(estimator, "", set()):
        digest.update(f"{path} {array.dtype.str} {array.shape}\n".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _arrays(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Fitted arrays with where they are, in an order that does not depend on the run."""
    if isinstance(value, np.ndarray):
        yield path, value
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _arrays(part, f"{path}.{number}", seen)
    elif hasattr(value, "__dict__") and id(value) not in seen and not isinstance(value, type):
        seen.add(id(value))
        for name, part in sorted(vars(value).items()):
            fitted = name.endswith("_") and not name.startswith("_")
            if fitted or name in ("steps", "parameters"):  # of a pipeline, of a member
                yield from _arrays(part, f"{path}.{name}", seen)
