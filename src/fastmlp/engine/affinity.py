"""The processors of this process, where an OpenMP runtime has bound the calling thread to some of them."""

import ctypes
import os
from contextlib import contextmanager

import threadpoolctl

__all__ = ["unbound"]

_BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
_processors = set()


@contextmanager
def unbound():
    """Let the calling thread use all processors that OpenMP's threads are bound to.

    With ``OMP_PROC_BIND=true`` each OpenMP runtime binds the thread that loads it to the first of its places. Runtimes
    that are loaded later, and functions that count processors, see that place alone.
    """
    if not hasattr(os, "sched_setaffinity") or not any(name in os.environ for name in _BINDING):
        yield
        return
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, bound | _processors_of_places())
    try:
        yield
    finally:
        os.sched_setaffinity(0, bound)


def _processors_of_places():
    """The processors in the places of the OpenMP runtimes that were loaded first."""
    if not _processors:
        found = set()
        for library in threadpoolctl.ThreadpoolController().select(user_api="openmp").lib_controllers:
            runtime = library.dynlib
            if not hasattr(runtime, "omp_get_place_proc_ids"):  # older than OpenMP 4.5
                continue
            for place in range(runtime.omp_get_num_places()):
                ids = (ctypes.c_int * runtime.omp_get_place_num_procs(place))()
                runtime.omp_get_place_proc_ids(place, ids)
                found.update(ids)
        _processors.update(found)  # at once: another thread may be in this function
    return _processors
