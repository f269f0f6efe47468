/* What a team of workers needs besides OpenMP: phases of work, which the workers share, flush-to-zero and a clock. A
 * build without OpenMP has teams of one worker.
 */
#ifndef FASTMLP_TEAM_H
#define FASTMLP_TEAM_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "compiler.h"
#include "simd/tuning.h"

#if defined(_OPENMP) && FM_GNU
#define FM_THREADS 1
#include <omp.h>
#include <sched.h>
#else
#define FM_THREADS 0
#endif

#if defined(__SSE2__) || defined(_M_X64)
#define FM_X86 1
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

/* ---- phases: items 0..count-1 to do, in any order, before the next phase opens ----
 *
 * A phase ends when its items are done, not when all workers have arrived: on a busy machine a worker that is not
 * running delays the others only if it has an item in hand. The worker that finishes the last item opens the next
 * phase. No other worker touches what the phase is about meanwhile, because no other has an item.
 *
 * Even workers take from the low end, odd ones from the high end. So a worker gets about the same items phase after
 * phase, and finds them in its cache. The ticket is one word: phase (24 bits), low end and high end (20 bits each); a
 * phase of FM_CLOSED items is the end.
 *
 * All that a phase is about is in plain fields: the worker that opens a phase writes them before the ticket, and a
 * worker that takes an item reads them after it. Only what changes while others read it, here and the flags below, is
 * atomic.
 *
 * The room between the fields gives the ticket a cache line of 64 bytes of its own, wherever a struct of phases lies, and
 * done and count another.
 */
typedef struct {
    char before[56];
    uint64_t ticket;
    char between[56];
    uint64_t done;
    uint64_t count;
    char after[56];
} fm_phases;

#define FM_ITEM_BITS 20
#define FM_MOST_ITEMS (((uint64_t)1 << FM_ITEM_BITS) - 2)
#define FM_CLOSED (((uint64_t)1 << FM_ITEM_BITS) - 1)

enum { FM_WAIT = -1, FM_END = -2 };

/* Open the next phase with this many items; only before the team starts, or after fm_finish has said 1. */
static inline void fm_open(fm_phases *p, uint64_t count)
{
    uint64_t phase = (FM_LOAD(&p->ticket) >> (2 * FM_ITEM_BITS)) + 1;
    FM_STORE(&p->done, 0);
    FM_STORE(&p->count, count);
    FM_STORE(&p->ticket, (phase << (2 * FM_ITEM_BITS)) | count);
}

/* The next item for this worker, FM_WAIT while others finish the phase, FM_END after the last phase. */
static inline ptrdiff_t fm_take(fm_phases *p, int worker)
{
    uint64_t ticket = FM_LOAD(&p->ticket);
    for (;;) {
        uint64_t high = ticket & FM_CLOSED, low = (ticket >> FM_ITEM_BITS) & FM_CLOSED;
        if (high == FM_CLOSED) return FM_END;
        if (low >= high) return FM_WAIT;
        uint64_t next = (worker & 1) ? ticket - 1 : ticket + ((uint64_t)1 << FM_ITEM_BITS);
        if (FM_SWAP(&p->ticket, &ticket, next)) return (ptrdiff_t)((worker & 1) ? high - 1 : low);
    }
}

/* Say that an item is done; 1 if it was the phase's last. The count is read first: once the item is counted, another
 * worker may finish the last one and open the next phase. */
static inline int fm_finish(fm_phases *p)
{
    uint64_t count = FM_LOAD(&p->count);
    return FM_ADD(&p->done, 1) == count;
}

/* In a call of one phase nobody finishes items: a worker that finds none leaves, and the workers that have left are
 * counted. */
static inline void fm_leave(fm_phases *p)
{
    (void)FM_ADD(&p->done, 1);
}

static inline uint64_t fm_left(const fm_phases *p)
{
    return FM_LOAD(&p->done);
}

/* Whether this phase keeps the workers about equally busy, so that a long wait in it has a cause from outside. */
static inline int fm_even(const fm_phases *p, int workers)
{
    uint64_t count = FM_LOAD(&p->count);
    return count % (uint64_t)workers == 0 || count >= 4 * (uint64_t)workers;
}

/* ---- flags: one worker sets them while others may read them ---- */

static inline void fm_set(int *flag)
{
    FM_STORE(flag, 1);
}

static inline int fm_is_set(const int *flag)
{
    return FM_LOAD(flag);
}

/* Give the other workers time; spins counts the calls of one wait. */
static inline void fm_pause(int spins)
{
#if FM_THREADS
    if (spins >= FM_SPINS) {
        sched_yield();
        return;
    }
#if FM_X86
    _mm_pause();
#endif
#else
    (void)spins;
#endif
}

static inline void fm_add_nanoseconds(unsigned long long *sum, double seconds)
{
    (void)FM_ADD(sum, (unsigned long long)(1e9 * seconds));
}

/* ---- flush-to-zero: idle moments become subnormal, and arithmetic on those is a hundred times slower ---- */

static inline unsigned long long fm_flush_subnormals(void)
{
#if FM_X86
    unsigned long long old = _mm_getcsr();
    _mm_setcsr((unsigned)old | 0x8040u); /* FTZ, DAZ */
    return old;
#elif defined(__aarch64__) && FM_GNU
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
#if FM_X86
    _mm_setcsr((unsigned)old);
#elif defined(__aarch64__) && FM_GNU
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
