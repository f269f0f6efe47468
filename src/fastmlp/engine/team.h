/* What a team of OpenMP threads needs besides OpenMP: a barrier that spins briefly and then gives way, work shared
 * out with stealing, flush-to-zero, a clock. Built without OpenMP a team has one member.
 */
#ifndef FASTMLP_TEAM_H
#define FASTMLP_TEAM_H

#include <stddef.h>
#include <time.h>

#if defined(_OPENMP) && defined(__GNUC__)
#define FM_THREADS 1
#include <omp.h>
#include <sched.h>
#else
#define FM_THREADS 0
#endif

#if defined(__SSE2__)
#include <immintrin.h>
#endif

static inline int fm_max_threads(void)
{
#if FM_THREADS
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static inline int fm_team_size(void)
{
#if FM_THREADS
    return omp_get_num_threads();
#else
    return 1;
#endif
}

/* ---- barrier: all members of the team arrive before any leaves ---- */

typedef struct {
    int arrived;
    int phase;
    char rest[56]; /* a cache line of its own */
} fm_barrier;

#define FM_SPINS 400 /* pauses of about 45 ns: 20 us, the imbalance of a usual phase */

static inline void fm_barrier_wait(fm_barrier *b, int team)
{
#if FM_THREADS
    if (team == 1) return;
    int phase = __atomic_load_n(&b->phase, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_ACQ_REL) == team) {
        __atomic_store_n(&b->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&b->phase, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int spin = 0; __atomic_load_n(&b->phase, __ATOMIC_ACQUIRE) == phase; spin++) {
        if (spin >= FM_SPINS)
            sched_yield();
#if defined(__SSE2__)
        else
            _mm_pause();
#endif
    }
#else
    (void)b, (void)team;
#endif
}

/* ---- shares: items 0..count-1 in one contiguous part per member, so that a thread meets the same items again at
 * every batch; who has finished takes from the others. ---- */

typedef struct {
    ptrdiff_t taken;
    char rest[56];
} fm_share;

/* The next item for this member, or -1. */
static inline ptrdiff_t fm_take(fm_share *shares, ptrdiff_t count, int member, int team)
{
    for (int k = 0; k < team; k++) {
        int part = (member + k) % team;
        ptrdiff_t first = count * part / team, end = count * (part + 1) / team;
#if FM_THREADS
        if (first + __atomic_load_n(&shares[part].taken, __ATOMIC_RELAXED) >= end) continue;
        ptrdiff_t item = first + __atomic_fetch_add(&shares[part].taken, 1, __ATOMIC_RELAXED);
#else
        ptrdiff_t item = first + shares[part].taken++;
#endif
        if (item < end) return item;
    }
    return -1;
}

static inline void fm_reset_share(fm_share *shares, int member)
{
#if FM_THREADS
    __atomic_store_n(&shares[member].taken, 0, __ATOMIC_RELAXED);
#else
    shares[member].taken = 0;
#endif
}

/* ---- flush-to-zero: idle moments become subnormal, and arithmetic on those is a hundred times slower ---- */

static inline unsigned long long fm_flush_subnormals(void)
{
#if defined(__SSE2__)
    unsigned long long old = _mm_getcsr();
    _mm_setcsr((unsigned)old | 0x8040u); /* FTZ, DAZ */
    return old;
#elif defined(__aarch64__) && defined(__GNUC__)
    unsigned long long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | (1ull << 24)));
    return old;
#else
    return 0;
#endif
}

static inline void fm_restore_subnormals(unsigned long long old)
{
#if defined(__SSE2__)
    _mm_setcsr((unsigned)old);
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
#else
    (void)old;
#endif
}

static inline double fm_seconds(void)
{
    struct timespec t;
#if defined(CLOCK_MONOTONIC)
    clock_gettime(CLOCK_MONOTONIC, &t);
#else
    timespec_get(&t, TIME_UTC);
#endif
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
