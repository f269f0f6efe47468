"""What the tests share that change files at random."""

import os
import time
import tracemalloc
import warnings
from contextlib import contextmanager

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

N_FILES = int(os.environ.get("FASTMLP_FUZZ_FILES", 0))


def fuzzed(n_tests, n_examples):
    """Settings of each of several tests: the examples are always the same, or others of `FASTMLP_FUZZ_FILES` in all."""
    return settings(
        max_examples=N_FILES // n_tests or n_examples,
        derandomize=not N_FILES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def summary(outcomes):
    """Body of a fixture that prints what became of the files, where they are others every time."""
    began = time.monotonic()
    yield
    if N_FILES:
        peak = outcomes.pop("largest peak")
        print(f"\n{outcomes.total()} files in {time.monotonic() - began:.0f} s, most memory {peak} bytes: {outcomes}")


@contextmanager
def within(n_bytes, seconds, outcomes):
    """What is done to a file takes no more memory and time than this."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    outcomes["largest peak"] = max(outcomes["largest peak"], peak)
    assert peak < n_bytes and time.monotonic() - began < seconds


def places(node):
    """All (container, key) of nested dicts and lists that can be changed."""
    found = []
    for key in node if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], dict | list):
            found += places(node[key])
    return found


def changed(draw, array, how, dtypes):
    """Another array, much like this one: in how "dtype", "shape", "values" or "cut" says."""
    if how == "dtype":
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return array.astype(draw(st.sampled_from(dtypes)))
    if how == "shape":
        return array.reshape(draw(st.sampled_from([(-1,), (1, -1), (-1, 1), array.shape[::-1], (1, *array.shape)])))
    if how == "values":
        return draw(hnp.arrays(array.dtype, array.shape))
    return array[: draw(st.integers(0, 30))]
