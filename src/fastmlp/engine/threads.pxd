"""Threads, and signals looked for from within them."""

from cpython.object cimport PyObject


cdef extern from "team.h" nogil:
    ctypedef struct fm_barrier:
        pass
    ctypedef struct fm_share:
        pass
    int fm_max_threads()
    int fm_team_size()
    void fm_barrier_wait(fm_barrier *barrier, int team)
    ptrdiff_t fm_take(fm_share *shares, ptrdiff_t count, int member, int team)
    void fm_reset_share(fm_share *shares, int member)
    unsigned long long fm_flush_subnormals()
    void fm_restore_subnormals(unsigned long long old)
    double fm_seconds()


ctypedef struct Signals:
    double next_look        # fm_seconds() of the next look; infinity: never
    bint raised             # a handler raised: stop
    PyObject *error         # what it raised, owned


cdef void watch(Signals *signals)
cdef bint interrupted(Signals *signals) noexcept nogil
cdef int raise_pending(Signals *signals) except -1
