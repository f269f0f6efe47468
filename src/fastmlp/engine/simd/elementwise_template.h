/* What is done to rows of inputs, activations and deltas between the matrix products, for REAL.
 *
 * Rows of activations are padded to whole groups of LANES elements, so the loops have no tails. Sums run over LANES
 * virtual lanes, which are folded in halves: the same additions in the same order on every instruction set.
 */
#define LANES ((ptrdiff_t)(FM_ROW_BYTES / sizeof(REAL)))
#define ALIGNED(p) ASSUME_ALIGNED(p, FM_ROW_BYTES)
#define AT_VECTOR(p) ASSUME_ALIGNED(p, FM_VECTOR_BYTES)
#define FOR_LANES                                                                                              \
    UNROLLED for (ptrdiff_t group = 0; group < LANES; group += VECTOR_LANES)                                   \
        LANEWISE for (ptrdiff_t l = group; l < group + VECTOR_LANES; l++)
#define GROUP_VECTORS (FM_ROW_BYTES / FM_VECTOR_BYTES) /* a group of LANES elements in registers */
#define FOR_GROUP UNROLLED for (ptrdiff_t v = 0; v < GROUP_VECTORS; v++)
#define WHOLE_GROUPS(n) (((n) + LANES - 1) / LANES * LANES)

/* Vectors of a fixed size, which need not be that of a register: GCC adds the elements of loops one by one. */
INLINE REAL FN(fold_sum)(const REAL *lanes)
{
    REAL h[LANES / 2];
#if FM_GNU
    *(FN(half) *)h = *(const FN(half) *)lanes + *(const FN(half) *)(lanes + LANES / 2);
    const FN(quarter) q = *(const FN(quarter) *)h + *(const FN(quarter) *)(h + LANES / 4);
#else
    REAL q[LANES / 4];
    for (ptrdiff_t l = 0; l < LANES / 2; l++) h[l] = lanes[l] + lanes[l + LANES / 2];
    for (ptrdiff_t l = 0; l < LANES / 4; l++) q[l] = h[l] + h[l + LANES / 4];
#endif
#if FM_DOUBLE
    return q[0] + q[1];
#else
    return (q[0] + q[2]) + (q[1] + q[3]);
#endif
}

INLINE REAL FN(fold_max)(REAL *lanes)
{
    for (ptrdiff_t half = LANES / 2; half; half /= 2)
        for (ptrdiff_t l = 0; l < half; l++) lanes[l] = (lanes[l] > lanes[l + half]) ? lanes[l] : lanes[l + half];
    return lanes[0];
}

/* ---- activations ---- */

#define ACTIVATION_KERNELS(name, hidden, in, value, slope)                                                     \
    static void FN(forward_##name)(void *z_, const void *bias_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)     \
    {                                                                                                          \
        const REAL *restrict bias = AT_VECTOR(bias_);                                                          \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict row = AT_VECTOR((REAL *)z_ + i * ld);                                               \
            for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES)                                                    \
                FOR_VECTOR { REAL z = row[j + l] + bias[j + l]; row[j + l] = value; }                          \
        }                                                                                                      \
    }                                                                                                          \
    static void FN(backward_##name)(void *d_, const void *kept_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)    \
    {                                                                                                          \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict delta = AT_VECTOR((REAL *)d_ + i * ld);                                             \
            const REAL *restrict kept = AT_VECTOR((const REAL *)kept_ + i * ld);                               \
            for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES)                                                    \
                FOR_VECTOR { REAL d = delta[j + l], in = kept[j + l]; (void)in; delta[j + l] = slope; }        \
        }                                                                                                      \
    }
FM_ACTIVATIONS(ACTIVATION_KERNELS)

/* z = s + a (f(s) - s), s = z + bias: bias and a are the two rows of the operand, which has the row stride of z */
#define PARAMETRIC_KERNEL(name, hidden, in, value, slope)                                                      \
    static void FN(parametric_##name)(void *z_, const void *operand, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld) \
    {                                                                                                          \
        const REAL *restrict bias = AT_VECTOR(operand), *restrict a = AT_VECTOR((const REAL *)operand + ld);   \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict row = AT_VECTOR((REAL *)z_ + i * ld);                                               \
            for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES)                                                    \
                FOR_VECTOR {                                                                                   \
                    REAL s = row[j + l] + bias[j + l], z = s + (REAL)0; /* -0 is 0 to f, as behind a bias */   \
                    row[j + l] = FN(fma)(a[j + l], (value) - s, s);                                            \
                }                                                                                              \
        }                                                                                                      \
    }
FM_ACTIVATIONS(PARAMETRIC_KERNEL)

#define MAP_KERNEL_a(name, value)
#define MAP_KERNEL_z(name, value)                                                                              \
    static void FN(map_##name)(void *out_, const void *z_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)          \
    {                                                                                                          \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict out = ALIGNED((REAL *)out_ + i * ld);                                               \
            const REAL *restrict row = ALIGNED((const REAL *)z_ + i * ld);                                     \
            for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES)                                                    \
                FOR_VECTOR { REAL z = row[j + l]; out[j + l] = value; }                                        \
        }                                                                                                      \
    }
#define MAP_KERNEL(name, hidden, in, value, slope) MAP_KERNEL_##in(name, value)
FM_ACTIVATIONS(MAP_KERNEL)

/* ---- dropout ---- */

/* A bijection of the 32-bit words: Wellons' lowbias32, https://nullprogram.com/blog/2018/07/31/ */
INLINE FN(words) FN(scrambled)(FN(words) x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

/* 0, 1, ... */
INLINE FN(words) FN(lane_numbers)(void)
{
    uint32_t numbers[VECTOR_LANES];
    FN(words) lane;
    FOR_VECTOR numbers[l] = (uint32_t)l;
    memcpy(&lane, numbers, sizeof lane);
    return lane;
}

INLINE void FN(drop)(REAL *out, const REAL *in, FN(words) random, uint32_t threshold, FN(vector) factor)
{
    *(FN(vector) *)out = *(const FN(vector) *)in * (FN(ones_from)(random, threshold) * factor);
}

/* Srivastava et al. (2014), section 10: what is kept is scaled in training. The random words are those of a counter, as
 * in Salmon et al. (2011), scrambled twice, with half of the key each time. A word serves two columns: of each
 * 2 FM_DROPOUT_COLUMNS the first half take the lower, the others the upper 16 bits. */
static void FN(dropout)(void *out_, const void *in_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, uint64_t key,
                        ptrdiff_t first, uint32_t threshold, double scale)
{
    enum { HALF = FM_DROPOUT_COLUMNS };
    const FN(vector) factor = FN(splat)((REAL)scale);
    const uint64_t words = (uint64_t)((n + 2 * HALF - 1) / (2 * HALF) * HALF); /* of a row */
    const FN(words) lane = FN(lane_numbers)();
    for (ptrdiff_t i = 0; i < rows; i++) {
        const uint64_t count = (uint64_t)(first + i) * words;
        const uint32_t start = (uint32_t)(count + key), other = (uint32_t)((count >> 32) ^ (key >> 32));
        const REAL *in = (const REAL *)in_ + i * ld;
        REAL *out = (REAL *)out_ + i * ld;
        for (ptrdiff_t j = 0; j < n; j += 2 * HALF)
            for (ptrdiff_t l = j; l < j + HALF && l < n; l += VECTOR_LANES) {
                FN(words) word = FN(scrambled)(FN(scrambled)(lane + (start + (uint32_t)(l - j / 2))) ^ other);
                FN(drop)(out + l, in + l, word & 0xffff, threshold, factor);
                if (l + HALF < n) FN(drop)(out + l + HALF, in + l + HALF, word >> 16, threshold, factor);
            }
    }
}

/* ---- rows of the data ---- */

#define ROW_OF(i) (index ? index[i] : first + (i))

#define GATHER_KERNEL(name, type, divisor)                                                                     \
    static void FN(gather_##name)(void *x_, const void *source, const ptrdiff_t *index, ptrdiff_t first,       \
                                  ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)                                   \
    {                                                                                                          \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict x = (REAL *)x_ + i * ld;                                                            \
            const type *restrict from = (const type *)source + ROW_OF(i) * n;                                  \
            for (ptrdiff_t j = 0; j < n; j++) x[j] = (REAL)from[j] divisor;                                    \
        }                                                                                                      \
    }
GATHER_KERNEL(float, float, )
GATHER_KERNEL(double, double, )
GATHER_KERNEL(uint8_t, uint8_t, )
GATHER_KERNEL(pixels, uint8_t, / R(255.0))

static void FN(targets_real)(void *y, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                             ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options)
{
    (void)options;
    (FM_DOUBLE ? FN(gather_double) : FN(gather_float))(y, source, index, first, rows, n, ld);
}

/* Smoothed targets are y (1 - s) + s / K, K the number of classes (Szegedy et al. 2016, section 7). */
static void FN(targets_byte)(void *y_, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                             ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options)
{
    const double smoothing = options->numbers[FM_OPTION_label_smoothing];
    FN(gather_uint8_t)(y_, source, index, first, rows, n, ld);
    if (smoothing > 0.0)
        for (ptrdiff_t i = 0; i < rows; i++) {
            REAL *restrict y = (REAL *)y_ + i * ld;
            const REAL on = (REAL)(1.0 - smoothing / 2), off = (REAL)(smoothing / 2);
            for (ptrdiff_t j = 0; j < n; j++) y[j] = (y[j] != (REAL)0) ? on : off;
        }
}

/* one-hot rows, or blocks of them, from class codes */
static void FN(targets_code)(void *y_, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                             ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options)
{
    const double smoothing = options->numbers[FM_OPTION_label_smoothing];
    const ptrdiff_t blocks = options->n_segments;
    (void)n;
    memset(y_, 0, sizeof(REAL) * (size_t)(rows * ld));
    for (ptrdiff_t s = 0; s < blocks; s++) {
        const ptrdiff_t start = options->offsets[s], classes = options->offsets[s + 1] - start;
        const double share = smoothing / (double)classes;
        const REAL on = (REAL)(1.0 - smoothing + share), off = (REAL)share;
        for (ptrdiff_t i = 0; i < rows; i++) {
            REAL *restrict y = (REAL *)y_ + i * ld + start;
            if (smoothing > 0.0)
                for (ptrdiff_t j = 0; j < classes; j++) y[j] = off;
            y[((const ptrdiff_t *)source)[ROW_OF(i) * blocks + s]] = on;
        }
    }
}

static void FN(sum_parts)(void *out_, const void *first, ptrdiff_t stride, ptrdiff_t parts, ptrdiff_t count)
{
    REAL *restrict out = out_;
    const REAL *restrict part = first;
    for (ptrdiff_t i = 0; i < count; i++) out[i] = part[i] + part[stride + i];
    for (ptrdiff_t p = 2; p < parts; p++)
        for (ptrdiff_t i = 0; i < count; i++) out[i] += part[p * stride + i];
}

/* 0 x is NaN for NaN and infinity, and 0 otherwise */
static int FN(all_finite)(const void *x_, ptrdiff_t count)
{
    const REAL *x = x_;
    REAL sum[LANES];
    FOR_LANES sum[l] = 0;
    const ptrdiff_t whole = count / LANES * LANES;
    for (ptrdiff_t j = 0; j < whole; j += LANES) FOR_LANES sum[l] += x[j + l] * (REAL)0;
    for (ptrdiff_t j = whole; j < count; j++) sum[j - whole] += x[j] * (REAL)0;
    return FN(fold_sum)(sum) == (REAL)0;
}

/* ---- the measure of what the core can do ---- */

static double FN(multiply_adds)(ptrdiff_t iterations)
{
    enum { WIDTH = 128, ACCUMULATORS = 12 };
    const FN(vector) scale = FN(splat)((REAL)0.999), shift = FN(splat)((REAL)0.001);
    REAL last[VECTOR_LANES], sum = 0;
    FN(vector) v[ACCUMULATORS];
    UNROLLED for (int a = 0; a < ACCUMULATORS; a++) v[a] = scale * (REAL)a;
    for (ptrdiff_t i = 0; i < iterations * (WIDTH / VECTOR_LANES); i++)
        UNROLLED for (int a = 0; a < ACCUMULATORS; a++) v[a] = FN(vfma)(v[a], scale, shift);
    UNROLLED for (int a = 0; a < ACCUMULATORS; a++) {
        *(FN(vector) *)last = v[a];
        FOR_VECTOR sum += last[l];
    }
    return (double)sum;
}
