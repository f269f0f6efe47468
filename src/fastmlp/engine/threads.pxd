"""Threads, and signals looked for from within them."""

from cpython.object cimport PyObject


cdef extern from "team.h" nogil:
    ctypedef struct fm_phases:
        pass
    enum:
        FM_WAIT
        FM_END
        FM_CLOSED
        FM_MOST_ITEMS
    int fm_max_threads()
    int fm_team_size()
    void fm_open(fm_phases *phases, unsigned long long count)
    ptrdiff_t fm_take(fm_phases *phases, int worker)
    int fm_finish(fm_phases *phases)
    void fm_leave(fm_phases *phases)
    unsigned long long fm_left(const fm_phases *phases)
    bint fm_even(const fm_phases *phases, int workers)
    void fm_set(bint *flag)
    bint fm_is_set(const bint *flag)
    void fm_add_nanoseconds(unsigned long long *sum, double seconds)
    void fm_pause(int spins)
    unsigned long long fm_flush_subnormals()
    void fm_restore_subnormals(unsigned long long old)
    double fm_seconds()


ctypedef struct Signals:
    double next_look        # fm_seconds() of the next look; infinity: never
    bint raised             # a handler raised: stop
    PyObject *error         # what it raised, owned


cdef int startable(int n_threads)
cdef void watch(Signals *signals, bint wanted=*)
cdef bint interrupted(Signals *signals) noexcept nogil
cdef bint stopped(Signals *signals, int worker) noexcept nogil
cdef void leave(fm_phases *phases, Signals *signals, int worker) noexcept nogil
cdef int raise_pending(Signals *signals) except -1
