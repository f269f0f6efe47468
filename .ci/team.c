/* The phases of team.h under ThreadSanitizer, with POSIX threads in the place of OpenMP's, whose runtime it cannot see
 * into.
 *
 * A toy of the training loop in step.pyx, of integers, in which every row of a batch depends on all parameters and every
 * parameter on all rows of its batch. Where the team stands is in plain fields, written by the thread that opens the
 * next phase. So a race, an item done twice and one left out all show: as a report, or in the parameters.
 * .ci/run has the command that builds it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "team.h"

enum { MOST_ROWS = 6000, BATCH = 60, CHUNK = 40, BLOCK = 5, N_TILES = 11, MOST_WORKERS = 5, ROUNDS = 20 };
enum stage { PREPARE, ROWS, WEIGHTS, FINISH };

typedef struct {
    int team_size;
    int n_rows;
    long interrupt_at; /* looks of worker 0 for an item after which it gives the epoch up */
    enum stage stage;
    int start, stop, chunk, end, blocks, batches;
    uint64_t loss, factor;
    fm_phases phases;
    int abandoned;
    unsigned long long waited;
    uint64_t rows[CHUNK], row_loss[CHUNK];
    uint64_t parameters[N_TILES], gradients[N_TILES], squares[N_TILES];
} job_t;

typedef struct { job_t *job; int number; } worker_t;

static void open_rows(job_t *job)
{
    job->end = job->chunk + CHUNK < job->stop ? job->chunk + CHUNK : job->stop;
    job->blocks = (job->end - job->chunk + BLOCK - 1) / BLOCK;
    job->stage = ROWS;
    fm_open(&job->phases, (uint64_t)job->blocks);
}

static void close_epoch(job_t *job)
{
    job->stage = FINISH;
    fm_open(&job->phases, N_TILES);
}

static void open_batch(job_t *job, int start)
{
    if (start >= job->n_rows) {
        close_epoch(job);
        return;
    }
    job->start = job->chunk = start;
    job->stop = start + BATCH < job->n_rows ? start + BATCH : job->n_rows;
    open_rows(job);
}

static void open_next(job_t *job)
{
    if (job->stage == PREPARE) {
        open_batch(job, 0);
    } else if (job->stage == ROWS) {
        if (fm_is_set(&job->abandoned)) {
            close_epoch(job);
            return;
        }
        for (int i = 0; i < job->end - job->chunk; i++) job->loss += job->row_loss[i];
        job->factor = 2 * job->loss + 1;
        job->stage = WEIGHTS;
        fm_open(&job->phases, N_TILES);
    } else if (job->stage == WEIGHTS && job->end < job->stop) {
        job->chunk = job->end;
        open_rows(job);
    } else if (job->stage == WEIGHTS) {
        for (int i = 0; i < N_TILES; i++) job->loss += job->squares[i];
        job->batches += 1;
        open_batch(job, job->stop);
    } else {
        fm_open(&job->phases, FM_CLOSED);
    }
}

static void rows_phase(job_t *job, int block)
{
    int first = job->chunk + block * BLOCK;
    for (int i = first; i < first + BLOCK && i < job->end; i++) {
        uint64_t sum = (uint64_t)i;
        for (int k = 0; k < N_TILES; k++) sum = 31 * sum + job->parameters[k];
        job->rows[i - job->chunk] = sum;
        job->row_loss[i - job->chunk] = sum >> 7;
    }
}

static void weights_phase(job_t *job, int tile)
{
    if (job->chunk == job->start) job->gradients[tile] = 0;
    for (int i = 0; i < job->end - job->chunk; i++)
        job->gradients[tile] = job->gradients[tile] * 33 + job->rows[i] * (uint64_t)(tile + 1);
    if (job->end < job->stop) return;
    job->squares[tile] = job->parameters[tile] * job->parameters[tile];
    job->parameters[tile] += job->factor * job->gradients[tile];
}

static void *run(void *argument)
{
    worker_t *worker = argument;
    job_t *job = worker->job;
    int spins = 0;
    for (long looks = 1;; looks++) {
        ptrdiff_t i = fm_take(&job->phases, worker->number);
        if (i == FM_END) break;
        if (worker->number == 0 && looks == job->interrupt_at) fm_set(&job->abandoned);
        if (i == FM_WAIT) {
            if (fm_even(&job->phases, job->team_size)) fm_add_nanoseconds(&job->waited, 1e-9);
            fm_pause(spins++);
            continue;
        }
        spins = 0;
        if (job->stage == ROWS)
            rows_phase(job, (int)i);
        else if (job->stage == WEIGHTS)
            weights_phase(job, (int)i);
        else
            job->parameters[i] += 1;
        /* workers take turns also where there are more of them than cores */
        if (looks % 3 == 0) sched_yield();
        int last = fm_finish(&job->phases);
        if (looks % 2 == 0) sched_yield();
        if (last) open_next(job);
    }
    return NULL;
}

/* An epoch by so many workers. */
static void epoch(job_t *job, int workers, int n_rows, long interrupt_at)
{
    pthread_t threads[MOST_WORKERS];
    worker_t numbered[MOST_WORKERS];
    memset(job, 0, sizeof(*job));
    job->team_size = workers;
    job->n_rows = n_rows;
    job->interrupt_at = interrupt_at;
    job->stage = PREPARE;
    fm_open(&job->phases, N_TILES);
    for (int m = 0; m < workers; m++) {
        numbered[m] = (worker_t){job, m};
        if (pthread_create(&threads[m], NULL, run, &numbered[m]) != 0) exit(2);
    }
    for (int m = 0; m < workers; m++) pthread_join(threads[m], NULL);
}

int main(void)
{
    static job_t alone, together;
    for (int round = 0; round < ROUNDS; round++) {
        for (int workers = 2; workers <= MOST_WORKERS; workers++) {
            /* every other epoch is given up after some whole number of batches */
            int whole = round % 2;
            epoch(&together, workers, MOST_ROWS, whole ? 0 : 10 * round + workers);
            epoch(&alone, 1, together.batches * BATCH, 0);
            if (memcmp(alone.parameters, together.parameters, sizeof(alone.parameters)) != 0
                || alone.batches != together.batches || (whole && together.batches != MOST_ROWS / BATCH)) {
                printf("%d workers: %d batches, other parameters than one worker\n", workers, together.batches);
                return 1;
            }
        }
    }
    printf("phases: the same for 1 to %d workers, no race\n", MOST_WORKERS);
    return 0;
}
