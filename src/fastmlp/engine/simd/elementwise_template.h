/* Everything that is done to activations, deltas and weights between the matrix products, for REAL.
 *
 * Rows of activations are padded to whole groups of LANES elements, so the loops have no tails. Sums run over LANES
 * virtual lanes, which are folded in halves: the same additions in the same order on every instruction set.
 */
#define LANES ((ptrdiff_t)(FM_ROW_BYTES / sizeof(REAL)))
#define ALIGNED(p) __builtin_assume_aligned(p, FM_ROW_BYTES)
#define AT_VECTOR(p) __builtin_assume_aligned(p, FM_VECTOR_BYTES)
#define FOR_LANES for (ptrdiff_t l = 0; l < LANES; l++)
#define WHOLE_GROUPS(n) (((n) + LANES - 1) / LANES * LANES)

typedef REAL FN(half) __attribute__((vector_size(FM_ROW_BYTES / 2), aligned(sizeof(REAL)), may_alias));
typedef REAL FN(quarter) __attribute__((vector_size(FM_ROW_BYTES / 4), aligned(sizeof(REAL)), may_alias));

INLINE REAL FN(fold_sum)(const REAL *lanes)
{
    REAL h[LANES / 2];
    *(FN(half) *)h = *(const FN(half) *)lanes + *(const FN(half) *)(lanes + LANES / 2);
    FN(quarter) q = *(const FN(quarter) *)h + *(const FN(quarter) *)(h + LANES / 4);
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

#define ACTIVATION_KERNELS(name, hidden, in, value, slope)                                                         \
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

typedef uint32_t FN(words) __attribute__((vector_size(4 * LANE_COUNT)));

/* A bijection of the 32-bit words: Wellons' lowbias32, https://nullprogram.com/blog/2018/07/31/ */
INLINE FN(words) FN(scrambled)(FN(words) x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

/* Srivastava et al. (2014), section 10: what is kept is scaled in training. The random words are those of a counter, the
 * element's number, as in Salmon et al. (2011), scrambled twice, with half of the key each time. */
static void FN(dropout)(void *out, const void *in, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, uint64_t key,
                        ptrdiff_t first, uint32_t threshold, double scale)
{
    const FN(vector) factor = FN(splat)((REAL)scale);
    FN(words) column;
    FOR_VECTOR column[l] = (uint32_t)l;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const uint64_t element = (uint64_t)(first + i) * (uint64_t)n;
        const uint32_t start = (uint32_t)(element + key), other = (uint32_t)((element >> 32) ^ (key >> 32));
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES) {
            FN(words) word = FN(scrambled)(FN(scrambled)(column + (start + (uint32_t)j)) ^ other);
            FN(vector) kept = __builtin_convertvector(-(word >= threshold), FN(vector));
            FN(vector) value = *(const FN(vector) *)((const REAL *)in + i * ld + j);
            *(FN(vector) *)((REAL *)out + i * ld + j) = value * (kept * factor);
        }
    }
}

/* Few outputs would leave most lanes of a row empty, and a sum over each row would cost more than the row. Up to
 * FM_NARROW of them are turned: LANES rows at a time, one row to a lane, t[j][l] = column j of row i + l. */
INLINE void FN(turn_in)(REAL (*restrict t)[LANES], const REAL *restrict z, ptrdiff_t count, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t first = 0; first < LANES; first += VECTOR_LANES)
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES) {
            FN(vector) r[VECTOR_LANES];
#pragma GCC unroll 16
            for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
                r[l] = (first + l < count) ? *(const FN(vector) *)(z + (first + l) * ld + j) : (FN(vector)){0};
            FN(transpose_square)(r);
#pragma GCC unroll 16
            for (ptrdiff_t l = 0; l < VECTOR_LANES; l++) *(FN(vector) *)(t[j + l] + first) = r[l];
        }
}

INLINE void FN(turn_out)(REAL *restrict z, REAL (*restrict t)[LANES], ptrdiff_t count, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t first = 0; first < count; first += VECTOR_LANES)
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES) {
            FN(vector) r[VECTOR_LANES];
#pragma GCC unroll 16
            for (ptrdiff_t l = 0; l < VECTOR_LANES; l++) r[l] = *(const FN(vector) *)(t[j + l] + first);
            FN(transpose_square)(r);
#pragma GCC unroll 16
            for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
                if (first + l < count) *(FN(vector) *)(z + (first + l) * ld + j) = r[l];
        }
}

/* t = exp(t + bias - max), sum = its sums, for LANES turned rows */
INLINE void FN(softmax_turned)(REAL (*restrict t)[LANES], const REAL *restrict bias, ptrdiff_t n, REAL *restrict sum)
{
    REAL top[LANES];
    FOR_LANES top[l] = -(REAL)INFINITY;
    for (ptrdiff_t j = 0; j < n; j++)
        FOR_LANES {
            REAL z = t[j][l] + bias[j];
            t[j][l] = z;
            top[l] = (top[l] > z) ? top[l] : z;
        }
    FOR_LANES sum[l] = 0;
    for (ptrdiff_t j = 0; j < n; j++)
        FOR_LANES {
            REAL e = FN(exp)(t[j][l] - top[l]);
            t[j][l] = e;
            sum[l] += e;
        }
}

/* row = exp(row + bias - max), columns from n on zero; returns their sum. */
INLINE REAL FN(softmax_row)(REAL *restrict row, const REAL *restrict bias, ptrdiff_t n)
{
    const ptrdiff_t width = WHOLE_GROUPS(n);
    REAL lanes[LANES];
    FOR_LANES lanes[l] = -(REAL)INFINITY;
    for (ptrdiff_t j = 0; j < width; j += LANES)
        FOR_LANES {
            REAL z = (j + l < n) ? row[j + l] + bias[j + l] : -(REAL)INFINITY;
            row[j + l] = z;
            lanes[l] = (lanes[l] > z) ? lanes[l] : z;
        }
    REAL most = FN(fold_max)(lanes);
    FOR_LANES lanes[l] = 0;
    for (ptrdiff_t j = 0; j < width; j += LANES)
        FOR_LANES {
            REAL e = FN(exp)(row[j + l] - most);
            row[j + l] = e;
            lanes[l] += e;
        }
    return FN(fold_sum)(lanes);
}

static void FN(forward_softmax)(void *z_, const void *bias_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    const REAL *bias = ALIGNED(bias_);
    if (n <= FM_NARROW) {
        for (ptrdiff_t i = 0; i < rows; i += LANES) {
            const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;
            REAL t[FM_NARROW][LANES], sum[LANES];
            FN(turn_in)(t, (REAL *)z_ + i * ld, count, n, ld);
            FN(softmax_turned)(t, bias, n, sum);
            for (ptrdiff_t j = 0; j < n; j++) FOR_LANES t[j][l] /= sum[l];
            FN(turn_out)((REAL *)z_ + i * ld, t, count, n, ld);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);
        REAL sum = FN(softmax_row)(row, bias, n);
        for (ptrdiff_t j = 0; j < n; j++) row[j] /= sum;
    }
}

/* ---- losses ---- */

#define LOSS_ELEMENT(z_value, y_value, w_value, value, element_loss, sum, delta)                               \
    {                                                                                                          \
        REAL z = z_value, y = y_value, p = value;                                                              \
        sum += element_loss;                                                                                   \
        delta = w_value * (p - y);                                                                             \
    }
#define LOSS_KERNEL(name, link, target, mean, value, element_loss)                                             \
    static void FN(loss_##name)(void *z_, const void *bias_, const void *y_, const double *weight,             \
                                double *row_loss, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)                   \
    {                                                                                                          \
        const REAL *restrict bias = ALIGNED(bias_);                                                            \
        const double scale = mean ? 1.0 / (double)n : 1.0;                                                     \
        if (n <= FM_NARROW) {                                                                                     \
            for (ptrdiff_t i = 0; i < rows; i += LANES) {                                                      \
                const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;                                 \
                REAL t[FM_NARROW][LANES], targets[FM_NARROW][LANES], w[LANES], sum[LANES];                           \
                FN(turn_in)(t, (REAL *)z_ + i * ld, count, n, ld);                                             \
                FN(turn_in)(targets, (const REAL *)y_ + i * ld, count, n, ld);                                 \
                FOR_LANES w[l] = (weight && l < count) ? (REAL)weight[i + l] : (REAL)1;                        \
                FOR_LANES sum[l] = 0;                                                                          \
                for (ptrdiff_t j = 0; j < n; j++)                                                              \
                    FOR_LANES LOSS_ELEMENT(t[j][l] + bias[j], targets[j][l], w[l], value, element_loss, sum[l], \
                                           t[j][l])                                                            \
                FN(turn_out)((REAL *)z_ + i * ld, t, count, n, ld);                                            \
                for (ptrdiff_t l = 0; l < count; l++)                                                          \
                    row_loss[i + l] = (weight ? weight[i + l] : 1.0) * scale * (double)sum[l];                 \
            }                                                                                                  \
            return;                                                                                            \
        }                                                                                                      \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);                                                 \
            const REAL *restrict targets = ALIGNED((const REAL *)y_ + i * ld);                                 \
            const ptrdiff_t whole = n / LANES * LANES;                                                         \
            REAL w = weight ? (REAL)weight[i] : (REAL)1, sum[LANES];                                           \
            FOR_LANES sum[l] = 0;                                                                              \
            for (ptrdiff_t j = 0; j < whole; j += LANES)                                                       \
                FOR_LANES LOSS_ELEMENT(row[j + l] + bias[j + l], targets[j + l], w, value, element_loss,       \
                                       sum[l], row[j + l])                                                     \
            for (ptrdiff_t j = whole; j < n; j++)                                                              \
                LOSS_ELEMENT(row[j] + bias[j], targets[j], w, value, element_loss, sum[j - whole], row[j])     \
            row_loss[i] = (weight ? weight[i] : 1.0) * scale * (double)FN(fold_sum)(sum);                      \
        }                                                                                                      \
    }
FM_LOSSES(LOSS_KERNEL)

/* -sum y log softmax(z), log p = log(exp(z - max)) - log(sum): the logarithm gives z - max back, and the clip bounds
 * what an underflow makes of it. NaN stays NaN where y is zero. */
#define LOG_LOSS_ELEMENT(e, y, inverse, log_sum, w, sum)                                                       \
    {                                                                                                          \
        REAL loss = FN(clip_log_loss)(log_sum - FN(log)(e));                                                   \
        sum += (y == (REAL)0 && e == e) ? (REAL)0 : y * loss;                                                  \
        e = w * (e * inverse - y);                                                                             \
    }
static void FN(loss_log_loss)(void *z_, const void *bias_, const void *y_, const double *weight, double *row_loss,
                              ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    const REAL *bias = ALIGNED(bias_);
    if (n <= FM_NARROW) {
        for (ptrdiff_t i = 0; i < rows; i += LANES) {
            const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;
            REAL t[FM_NARROW][LANES], targets[FM_NARROW][LANES], w[LANES], inverse[LANES], log_sum[LANES], sum[LANES];
            FN(turn_in)(t, (REAL *)z_ + i * ld, count, n, ld);
            FN(turn_in)(targets, (const REAL *)y_ + i * ld, count, n, ld);
            FN(softmax_turned)(t, bias, n, sum);
            FOR_LANES w[l] = (weight && l < count) ? (REAL)weight[i + l] : (REAL)1;
            FOR_LANES inverse[l] = (REAL)1 / sum[l];
            FOR_LANES log_sum[l] = FN(log)(sum[l]);
            FOR_LANES sum[l] = 0;
            for (ptrdiff_t j = 0; j < n; j++)
                FOR_LANES LOG_LOSS_ELEMENT(t[j][l], targets[j][l], inverse[l], log_sum[l], w[l], sum[l])
            FN(turn_out)((REAL *)z_ + i * ld, t, count, n, ld);
            for (ptrdiff_t l = 0; l < count; l++)
                row_loss[i + l] = (weight ? weight[i + l] : 1.0) * (double)sum[l];
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);
        const REAL *restrict y = ALIGNED((const REAL *)y_ + i * ld);
        const ptrdiff_t whole = n / LANES * LANES;
        REAL w = weight ? (REAL)weight[i] : (REAL)1, sum[LANES];
        REAL total = FN(softmax_row)(row, bias, n);
        REAL inverse = (REAL)1 / total, log_sum = FN(log)(total);
        FOR_LANES sum[l] = 0;
        for (ptrdiff_t j = 0; j < whole; j += LANES)
            FOR_LANES LOG_LOSS_ELEMENT(row[j + l], y[j + l], inverse, log_sum, w, sum[l])
        for (ptrdiff_t j = whole; j < n; j++)
            LOG_LOSS_ELEMENT(row[j], y[j], inverse, log_sum, w, sum[j - whole])
        row_loss[i] = (weight ? weight[i] : 1.0) * (double)FN(fold_sum)(sum);
    }
}

/* ---- optimizer steps ---- */

#define STEP_ELEMENT(lane, adjusted, update)                                                                   \
    {                                                                                                          \
        REAL w0 = w[i], g = (grad[i] + alpha * w0) * inverse_weight;                                                                     \
        lanes[lane] += w0 * w0;                                                                                \
        if (adjusted) {                                                                                        \
            g = (g > most) ? most : g;                                                                         \
            g = (g < -most) ? -most : g;                                                                       \
            w0 *= keep;                                                                                        \
        }                                                                                                      \
        update                                                                                                 \
    }
#define STEP_FUNCTION(name, adjusted, n_states, update)                                                        \
    static double FN(name)(void *w_, const void *grad_, void *const *state, ptrdiff_t count, const fm_update *u) \
    {                                                                                                          \
        REAL *restrict w = w_, *restrict s0 = state[0], *restrict s1 = (n_states > 1) ? state[1] : NULL;       \
        const REAL *restrict grad = grad_;                                                                     \
        const REAL alpha = (REAL)u->alpha, inverse_weight = (REAL)u->inverse_weight, rate = (REAL)u->rate,     \
                   momentum = (REAL)u->momentum, beta_1 = (REAL)u->beta_1, rest_1 = (REAL)(1.0 - u->beta_1),   \
                   beta_2 = (REAL)u->beta_2, rest_2 = (REAL)(1.0 - u->beta_2), epsilon = (REAL)u->epsilon,     \
                   second_rate = (REAL)u->second_rate, correction = (REAL)u->correction,                       \
                   share = (REAL)u->share, decay = (REAL)u->decay, keep = (REAL)u->keep,                       \
                   most = (REAL)u->clip_value;                                                                 \
        const int nesterov = u->nesterov != 0.0;                                                               \
        (void)rate, (void)momentum, (void)beta_1, (void)rest_1, (void)beta_2, (void)rest_2, (void)epsilon;     \
        (void)second_rate, (void)correction, (void)share, (void)decay, (void)keep, (void)most;                 \
        (void)nesterov, (void)s1;                                                                              \
        REAL lanes[LANES];                                                                                     \
        FOR_LANES lanes[l] = 0;                                                                                \
        ptrdiff_t whole = count - count % LANES;                                                               \
        for (ptrdiff_t j = 0; j < whole; j += LANES)                                                           \
            FOR_LANES { ptrdiff_t i = j + l; STEP_ELEMENT(l, adjusted, update) }                               \
        for (ptrdiff_t i = whole; i < count; i++) STEP_ELEMENT(i - whole, adjusted, update)                    \
        return FN(fold_sum)(lanes);                                                                            \
    }
#define STEP_KERNELS(name, n_states, n_memory, averages, prepare, update)                                      \
    STEP_FUNCTION(step_##name, 0, n_states, update)                                                            \
    STEP_FUNCTION(adjusted_step_##name, 1, n_states, update)
FM_OPTIMIZERS(STEP_KERNELS)

/* The norm is summed in double: squares of floats may be beyond the largest float. Loops over elements of both widths
 * would not vectorise, hence vectors of LANES elements. */
typedef REAL FN(group) __attribute__((vector_size(FM_ROW_BYTES), aligned(sizeof(REAL)), may_alias));
typedef double FN(wide) __attribute__((vector_size(FM_ROW_BYTES / sizeof(REAL) * sizeof(double))));

static double FN(penalise)(void *grad_, const void *w_, ptrdiff_t count, const fm_update *u, double *norm)
{
    REAL *restrict grad = grad_;
    const REAL *restrict w = w_;
    const REAL alpha = (REAL)u->alpha, inverse_weight = (REAL)u->inverse_weight;
    const ptrdiff_t whole = count - count % LANES;
    FN(group) lanes = {0};
    FN(wide) squares = {0};
    for (ptrdiff_t j = 0; j < whole; j += LANES) {
        FN(group) w0 = *(const FN(group) *)(w + j);
        FN(group) g = (*(const FN(group) *)(grad + j) + alpha * w0) * inverse_weight;
        FN(wide) wide = __builtin_convertvector(g, FN(wide));
        lanes += w0 * w0;
        squares += wide * wide;
        *(FN(group) *)(grad + j) = g;
    }
    for (ptrdiff_t i = whole; i < count; i++) {
        grad[i] = (grad[i] + alpha * w[i]) * inverse_weight;
        lanes[i - whole] += w[i] * w[i];
        squares[i - whole] += (double)grad[i] * (double)grad[i];
    }
    for (ptrdiff_t half = LANES / 2; half; half /= 2)
        for (ptrdiff_t l = 0; l < half; l++) squares[l] += squares[l + half];
    *norm = squares[0];
    return FN(fold_sum)((const REAL *)&lanes);
}

static void FN(blend)(void *w_, const void *z_, ptrdiff_t count, double share_)
{
    REAL *restrict w = w_;
    const REAL *restrict z = z_;
    const REAL share = (REAL)share_;
    for (ptrdiff_t i = 0; i < count; i++) w[i] += share * (z[i] - w[i]);
}

static void FN(max_norm)(void *w_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t first, ptrdiff_t count, double most)
{
    for (ptrdiff_t start = first; start < first + count; start += FM_COLUMNS) {
        const ptrdiff_t width = (first + count - start < FM_COLUMNS) ? first + count - start : FM_COLUMNS;
        REAL *w = (REAL *)w_ + start, factor[FM_COLUMNS];
        double squares[FM_COLUMNS] = {0};
        int longer = 0;
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < width; j++) squares[j] += (double)w[i * n + j] * (double)w[i * n + j];
        for (ptrdiff_t j = 0; j < width; j++) {
            const double length = __builtin_sqrt(squares[j]);
            longer |= length > most;
            factor[j] = (length > most) ? (REAL)(most / length) : (REAL)1;
        }
        if (longer)
            for (ptrdiff_t i = 0; i < rows; i++)
                for (ptrdiff_t j = 0; j < width; j++) w[i * n + j] *= factor[j];
    }
}

/* ---- rows of the data ---- */

#define ROW_OF(i) (index ? index[i] : first + (i))

#define GATHER_KERNEL(type)                                                                                    \
    static void FN(gather_##type)(void *x_, const void *source, const ptrdiff_t *index, ptrdiff_t first,       \
                                  ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)                                   \
    {                                                                                                          \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict x = (REAL *)x_ + i * ld;                                                            \
            const type *restrict from = (const type *)source + ROW_OF(i) * n;                                  \
            for (ptrdiff_t j = 0; j < n; j++) x[j] = (REAL)from[j];                                            \
        }                                                                                                      \
    }
GATHER_KERNEL(float)
GATHER_KERNEL(double)
GATHER_KERNEL(uint8_t)

static void FN(targets_real)(void *y, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                             ptrdiff_t n, ptrdiff_t ld)
{
    (FM_DOUBLE ? FN(gather_double) : FN(gather_float))(y, source, index, first, rows, n, ld);
}

/* one-hot rows from class codes */
static void FN(targets_code)(void *y_, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                             ptrdiff_t n, ptrdiff_t ld)
{
    (void)n;
    memset(y_, 0, sizeof(REAL) * (size_t)(rows * ld));
    for (ptrdiff_t i = 0; i < rows; i++) ((REAL *)y_)[i * ld + ((const ptrdiff_t *)source)[ROW_OF(i)]] = 1;
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
    enum { WIDTH = 128, ACCUMULATORS = 12, VECTOR = FM_VECTOR_BYTES / sizeof(REAL) };
    typedef REAL vector __attribute__((vector_size(FM_VECTOR_BYTES)));
    REAL sum = 0;
    vector scale = {0}, shift = {0}, v[ACCUMULATORS];
    scale += (REAL)0.999;
    shift += (REAL)0.001;
    for (int a = 0; a < ACCUMULATORS; a++) v[a] = scale * (REAL)a;
    for (ptrdiff_t i = 0; i < iterations * (WIDTH / VECTOR); i++)
        for (int a = 0; a < ACCUMULATORS; a++)
            for (int l = 0; l < VECTOR; l++) v[a][l] = FN(fma)(v[a][l], scale[l], shift[l]);
    for (int a = 0; a < ACCUMULATORS; a++)
        for (int l = 0; l < VECTOR; l++) sum += v[a][l];
    return (double)sum;
}
