"""How many threads, BLAS held to one of them, and signals looked for from within."""

import contextlib
import functools
import os
import threading

import joblib
import threadpoolctl

from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport INFINITY

from .affinity import unbound

cdef enum:
    LOOKS_PER_SECOND = 20

cdef extern from "process.h":
    const int fm_forks
    void fm_watch_forks()
    int fm_startable(int wanted)


def _process():
    """What tells this process from its parent and its children: ids alone are used again after a while."""
    return os.getpid(), fm_forks


fm_watch_forks()
_loaded_in = _process()


@functools.cache
def _cpu_count():
    """The physical cores that this process may use."""
    with unbound():
        return joblib.cpu_count(only_physical_cores=True)


def checked_max_threads(max_threads):
    """A limit on the threads of a call as it was given: None, at least 1, or a function that returns such a limit.

    Raises
    ------
    ValueError
        If it is less.
    """
    if max_threads is not None and not callable(max_threads) and max_threads < 1:
        raise ValueError(f"max_threads={max_threads!r}: at least 1")
    return max_threads


def effective_n_threads(n_threads=None, max_threads=None):
    """The number of threads that a call may use.

    As in scikit-learn's own OpenMP estimators, ``OMP_NUM_THREADS`` and threadpoolctl's limits hold; without
    ``OMP_NUM_THREADS`` the limit is the physical cores that this process may use (container limits included). A forked
    child runs on one thread, because the OpenMP runtime of GCC does not survive a fork.

    Parameters
    ----------
    n_threads : int, default=None
        The number to use, at least 1, whatever the environment; only a forked child does not follow it.
    max_threads : int or function, default=None
        The largest number, if n_threads is None. A function is asked for it only where it matters.

    Returns
    -------
    n_threads : int
    """
    if _process() != _loaded_in:
        return 1
    if n_threads is not None:
        if n_threads < 1:
            raise ValueError(f"n_threads={n_threads!r}: at least 1")
        return int(n_threads)
    most = fm_max_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        most = max(1, min(most, _cpu_count()))
    if most == 1 or max_threads is None:
        return most
    return min(most, int(max_threads() if callable(max_threads) else max_threads))


cdef int startable(int n_threads):
    """The threads that a team of this size gets, fewer where the system refuses one. Ask it before each team."""
    return fm_startable(n_threads)


# ---- SciPy's BLAS on one thread ----

class _BlasGuard:
    """Holds SciPy's BLAS to one thread from the first call that enters to the last that leaves, in any threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.users = 0
        self.libraries = None
        self.before = None

    def enter(self):
        with self.lock:
            if self.users == 0:
                if self.libraries is None:
                    found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
                    own = [library for library in found if "scipy" in os.path.dirname(library.filepath)]
                    self.libraries = own or found
                self.before = [library.get_num_threads() for library in self.libraries]
                self._set([1] * len(self.libraries))
            self.users += 1

    def leave(self):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self._set(self.before)

    def _set(self, limits):
        # threadpoolctl 3.8 lets one thread alone set the limit of OpenBLAS; who comes first and who leaves last here
        # may be two
        for library, limit in zip(self.libraries, limits, strict=True):
            disown = getattr(library, "clear_controlling_thread", None)
            if disown:
                disown(force=True)
            library.set_num_threads(limit)
            if disown:
                disown(force=True)


# One for each process: a forked child gets the parent's guard as it is, its lock perhaps held by a thread that is
# gone.
_guards = {}


@contextlib.contextmanager
def single_threaded_blas():
    """Hold SciPy's BLAS to one thread while ours call it.

    Re-entrant, and counted over all threads: the first to enter limits, the last to leave restores. Hold it around a
    whole fit; entering costs tens of microseconds, and the very first time a scan of the loaded libraries.
    """
    process = _process()
    guard = _guards.get(process) or _guards.setdefault(process, _BlasGuard())
    guard.enter()
    try:
        yield
    finally:
        if _process() == process:  # a child that was forked within runs on one thread
            guard.leave()


# ---- signals ----

cdef void watch(Signals *signals, bint wanted=True):
    """Start looking for signals, if that is wanted and this is the thread whose business they are."""
    signals.raised = False
    signals.error = NULL
    signals.next_look = INFINITY
    if wanted and threading.current_thread() is threading.main_thread():
        signals.next_look = fm_seconds() + 1.0 / LOOKS_PER_SECOND


cdef bint interrupted(Signals *signals) noexcept nogil:
    """Run Python's signal handlers now and then; true once one has raised. For the calling thread only."""
    if signals.raised:
        return True
    if signals.next_look == INFINITY or fm_seconds() < signals.next_look:
        return False
    return _run_handlers(signals)


cdef bint stopped(Signals *signals, int worker) noexcept nogil:
    """Whether a signal's handler has raised; worker 0, the calling thread, looks for signals."""
    return interrupted(signals) if worker == 0 else fm_is_set(&signals.raised)


cdef void leave(fm_phases *phases, Signals *signals, int worker) noexcept nogil:
    """After a worker's last item in a call of one phase: worker 0 looks for signals until the others have left too."""
    cdef int spins = 0
    if worker > 0:
        fm_leave(phases)
    if worker > 0 or signals.next_look == INFINITY:
        return
    while fm_left(phases) + 1 < <unsigned long long> fm_team_size() and not interrupted(signals):
        fm_pause(spins)
        spins += 1


cdef bint _run_handlers(Signals *signals) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        Py_INCREF(error)
        signals.error = <PyObject *> error
        fm_set(&signals.raised)
    signals.next_look = fm_seconds() + 1.0 / LOOKS_PER_SECOND
    return signals.raised


cdef int raise_pending(Signals *signals) except -1:
    """Raise what a handler raised, if one did."""
    if signals.error != NULL:
        error = <object> signals.error
        signals.error = NULL
        Py_DECREF(error)
        raise error
    return 0
