/* What a process allows its OpenMP teams: none in a forked child, and no more threads than the system gives. For
 * threads.pyx alone: there is one count of each kind.
 */
#ifndef FASTMLP_PROCESS_H
#define FASTMLP_PROCESS_H

#include "team.h"

#if FM_THREADS

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

/* Forks between the load of this module and this process. Also those by C code, as of uWSGI's workers, which run none
 * of Python's at-fork hooks; but not a bare system call. */
static int fm_forks = 0;

static void fm_count_fork(void) { fm_forks++; }

static void fm_watch_forks(void) { pthread_atfork(NULL, NULL, fm_count_fork); }

/* ---- threads: the runtimes of GCC and LLVM end the process where the system refuses one ---- */

/* Threads of the calling thread's last team, itself included. The runtime keeps them for its next team, and lets go of
 * those that a smaller team does not need. */
static __thread int fm_pooled = 1;

typedef struct {
    pthread_t thread;
    pthread_mutex_t *gate;
    long id;
} fm_trial;

static void *fm_try(void *argument)
{
    fm_trial *trial = argument;
#if defined(__linux__)
    trial->id = syscall(SYS_gettid);
#endif
    pthread_mutex_lock(trial->gate); /* all trials are alive at once */
    pthread_mutex_unlock(trial->gate);
    return NULL;
}

/* The stack that OpenMP's threads get: OMP_STACKSIZE in KiB, or with one of the units B, K, M, G. 0: the system's. */
static size_t fm_stack_size(void)
{
    static const char units[] = "BKMG";
    const char *setting = getenv("OMP_STACKSIZE"), *unit;
    char *end;
    if (setting == NULL) return 0;
    unsigned long long size = strtoull(setting, &end, 10);
    while (*end == ' ') end++;
    unit = *end == '\0' ? units + 1 : strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
    return unit == NULL ? 0 : (size_t)(size << (10 * (unit - units)));
}

/* End a trial; its place is free again when this returns. The system counts a thread a little longer than join waits. */
static void fm_end_trial(fm_trial *trial)
{
    pthread_join(trial->thread, NULL);
#if defined(__linux__)
    for (int i = 0; i < 10000 && syscall(SYS_tgkill, getpid(), trial->id, 0) == 0; i++) sched_yield();
#endif
}

/* The size of the team that the calling thread can have now: at most `wanted`, at least 1. */
static int fm_startable(int wanted)
{
    if (wanted <= 1 || omp_in_parallel()) return 1; /* the threads within a team are not kept for its next one */
    if (wanted > fm_pooled) {
        pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
        pthread_attr_t attributes;
        size_t stack_size = fm_stack_size();
        int started = 0, missing = wanted - fm_pooled;
        fm_trial *trials = malloc((size_t)missing * sizeof(fm_trial));
        pthread_attr_init(&attributes);
        if (stack_size > 0) pthread_attr_setstacksize(&attributes, stack_size); /* refused: the system's */
        pthread_mutex_lock(&gate);
        for (; trials != NULL && started < missing; started++) {
            trials[started].gate = &gate;
            if (pthread_create(&trials[started].thread, &attributes, fm_try, &trials[started]) != 0) break;
        }
        pthread_mutex_unlock(&gate);
        for (int i = 0; i < started; i++) fm_end_trial(&trials[i]);
        pthread_attr_destroy(&attributes);
        pthread_mutex_destroy(&gate);
        free(trials);
        wanted = fm_pooled + started;
    }
    if (wanted > 1) fm_pooled = wanted;
    return wanted;
}

#else

static const int fm_forks = 0;

static void fm_watch_forks(void) {}

static int fm_startable(int wanted)
{
    (void)wanted;
    return 1;
}

#endif
#endif
