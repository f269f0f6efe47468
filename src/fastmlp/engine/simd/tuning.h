/* Every number that was chosen by measurement, with the measurement.
 *
 * Measured on two cores of an Intel Xeon with AVX-512 (48 KiB of first-level cache, 2 MiB of second, a register peak of
 * 222 GFLOP/s a core in float32; one core reads what the other has written at 12 to 25 GB/s), both choices interleaved;
 * ratios are of times in float32. On another machine measure again with bench/roofline.py (products), bench/threads.py
 * (teams) and bench/compare.py (all of it). The numbers are the same for every instruction set and number of threads;
 * some decide in which order sums are added, so models trained with other numbers differ in rounding.
 *
 * On an AMD EPYC with AVX2, blocks of 64 and of 256 rows and tiles of 2048 elements took 0.95 to 0.98 of the time in the
 * mean of the benchmark's nets, each net 0.84 to 1.12 on a busy machine: no reason to tell processors apart.
 */
#ifndef FASTMLP_TUNING_H
#define FASTMLP_TUNING_H

/* ---- products (product_template.h) ---- */

/* A panel of B, to stay in the first-level cache beside the rows of A: 16, 24 and 32 KiB differ by 2 % and less. */
#define FM_PANEL_BYTES 32768
/* The next panel is fetched while this one is used if B is larger than this: 784-512 forward 1.09, 1024 wide 1.13 times
 * as fast; in products whose B is near, the fetching costs 4 %. */
#define FM_FETCH_BYTES (256 << 10)
/* Columns of A that are at least FM_FAR_BYTES apart, which the first-level cache does not foresee, are copied into slabs,
 * FM_PACKED_BYTES at a time. On the Xeon X^T D of 784-512 is 1.10 times as fast with columns side by side as without a
 * copy. On an AMD EPYC with AVX2, with 256 rows, it is 1.22 times as fast with slabs as with 24 columns side by side,
 * 512-512 1.24 times, 784-100 1.15 times; 64 and 96 KiB differ by 3 % and less, 1024 bytes apart in place of 2048 by 2 %.
 * With two panels of B nothing is won. */
#define FM_FAR_BYTES 2048
#define FM_PACKED_BYTES 65536
/* Rows of B whose stride is a multiple of FM_ALIAS_BYTES share a few sets of the cache; from FM_ALIAS_ROWS rows of A
 * on, the copy of a panel pays: 1024 wide 1.37 times as fast. */
#define FM_ALIAS_BYTES 512
#define FM_ALIAS_ROWS 32
/* Register tiles, one below the other, that are stored before bias and activation are applied to them: all of a panel
 * at once is 3 % slower on 64-100-10 with two threads. */
#define FM_FINISHED_TILES 4
/* Products of at most this number of columns are dot products: 100 deep, 1 column takes 0.24, 4 columns 0.65 of a
 * tile's time. With AVX2 on an AMD EPYC, 75 rows by 100, tiles of two rows in place of four take 0.75 of the time for 3
 * columns and 0.6 for 4, whose sums are in registers then, and 1.1 for 2. */
#define FM_DOT_COLUMNS 4

/* Bytes of a row that are unfolded for a product at a time (window_kinds.pxi): on an AMD EPYC with AVX2 12, 24, 48 and
 * 96 KiB differ by 4 % and less, LeNet-5-like 6.5, 6.4, 6.2 and 6.4 ms, three layers on 8 x 8 4.3, 4.3, 4.1 and 4.2. */
#define FM_UNFOLDED_BYTES 24576

/* Rows that a recurrent layer takes through its steps together (recurrent_kinds.pxi): on an AMD EPYC with AVX2 a
 * training step of GRU-64 with 8, 16 and 32 rows takes 6.2, 5.8 and 5.8 ms, of LSTM-64 8.7, 8.2 and 9.2 ms. */
#define FM_RECURRENT_ROWS 16
/* What recurrent layers keep of a chunk's rows, at most: a bound on memory, which no time depends on. */
#define FM_RECURRENT_BYTES (64 << 20)

/* ---- loss (loss_template.h) ---- */

/* At most this number of outputs are transposed, a row to a lane: a whole step of 64-100-10 is 1.3 times, of 4-100-3
 * 1.8 times as fast. */
#define FM_NARROW 32

/* ---- the plan of a step (plan.pyx, step.pyx, network.pyx) ---- */

/* A chunk's activations and deltas, and its rows. */
#define FM_CHUNK_BYTES (16 << 20)
#define FM_CHUNK_ROWS 1024
/* Rows that a worker takes through the layers at a time: 32 are 3 %, 56 up to 2 % slower than 128. There are two
 * blocks for each worker, so that the others can help a late one, but no block is smaller than FM_LEAST_BLOCK_ROWS. */
#define FM_BLOCK_ROWS 128
#define FM_BLOCKS_EACH 2
#define FM_LEAST_BLOCK_ROWS 8
/* Parameters larger than this are fetched anew for each block: larger blocks, one each, make 784-512-512-10 1.05 times
 * as fast. */
#define FM_CACHED_BYTES (1 << 20)
#define FM_LARGE_BLOCK_ROWS 256
#define FM_LARGE_BLOCKS_EACH 1
/* A parameter is cut into tiles of FM_TILE_ELEMENTS, but into at most FM_TILES tiles or into tiles of FM_TILE_ROWS
 * rows, whichever are more: 2048 elements are as fast, 1024 up to 4 % slower. */
#define FM_TILE_ELEMENTS 4096
#define FM_TILES 8
#define FM_TILE_ROWS 64
/* Row groups that sum their own gradients: at most FM_GROUPS, each of at least FM_GROUP_FLOPS operations; two of them
 * from FM_PAIR_FLOPS operations on. With two threads 64-400-10 takes 144 us in place of 319, 20-100-5 (1.56 million
 * operations a batch) 14 in place of 23; with one thread that costs 7 %. 64-100-10 with 2, 4 and 8 groups: 45.8, 45.7,
 * 46.1 us. */
#define FM_GROUPS 8
#define FM_GROUP_FLOPS 4000000
#define FM_PAIR_FLOPS 1400000
/* A batch wakes one thread for each FM_THREAD_FLOPS operations: with two threads 128-128-10 (5.1 million) is 11 %
 * slower, 256-128-10 (6.6 million) 9 % faster; in groups, half of FM_PAIR_FLOPS: 4-100-3 (0.72 million) is a third
 * slower, 20-100-5 20 % faster. */
#define FM_THREAD_FLOPS 3200000
/* A call may wait for its team for FM_PATIENCE seconds and for FM_PATIENCE_SHARE of its length. After a longer wait
 * the network works alone for FM_SOLITUDE times as long, at most for FM_MOST_SOLITUDE seconds: two fits at once, each
 * free to take both cores, take 0.89 to 0.99 of one after the other. */
#define FM_PATIENCE 30e-6
#define FM_PATIENCE_SHARE 0.2
#define FM_SOLITUDE 20.0
#define FM_MOST_SOLITUDE 2.0
/* Pauses of about 45 ns before a waiting thread yields its core: 20 us, the imbalance of a usual phase. */
#define FM_SPINS 400
/* Layers of at least this number of weights go to BLAS, which blocks for all levels of cache: up to 25 % faster at
 * 4096 wide. */
#define FM_BLAS_WEIGHTS (1 << 23)
/* Where the portable kernels serve, layers of at least this number of weights go to BLAS, if they have more than
 * FM_DOT_COLUMNS inputs and outputs. A step of 150 rows on one thread, ours and BLAS's with AVX-512, in us:
 * 784-512-512-10 24059, 7111; 64-100-10 216, 68; 16-16-16 (64 rows) 16.5, 9.7; with AVX2 16-16-16 32, 26; 8-16-4 17.7,
 * 20.3; 4-100-3 31, 42; with SSE (x86-64 without AVX) 32-32-32 98, 140. */
#define FM_PORTABLE_BLAS_WEIGHTS 256

/* ---- prediction (forward.pyx, gradients.pyx) ---- */

/* Rows that a worker takes through the layers at a time, fewer where its workspace would be larger than
 * FM_PREDICT_BYTES. */
#define FM_PREDICT_ROWS 256
#define FM_PREDICT_BYTES (4 << 20)
/* A call wakes one thread for each FM_PREDICT_THREAD_FLOPS operations: with 2 million in all, two threads are 1.2 to
 * 1.7 times as fast, with 1 million 0.8 to 1.3. */
#define FM_PREDICT_THREAD_FLOPS 1000000
/* A call of at least this number of operations, 0.1 ms, looks for signals; asking whether it may takes 0.3 us. */
#define FM_WATCHED_FLOPS 20000000
/* Calls of fewer operations leave BLAS alone, which must be held to one thread: with 2 million 784-100-10 takes 57 us
 * by ours, 42 by BLAS with AVX-512, 59 with AVX2; with 1 million 27, 16 and 48; with 0.3 million 11, 13 and 42. */
#define FM_CALL_BLAS_FLOPS 2000000

#endif
