/* Everything that is done to activations, deltas and weights between the matrix products, for REAL.
 *
 * Rows of activations are padded to whole groups of LANES elements, so the loops have no tails. Sums run over LANES
 * virtual lanes that are then folded in halves: the same additions in the same order on every instruction set.
 */
#define LANES ((ptrdiff_t)(FM_ROW_BYTES / sizeof(REAL)))
#define ALIGNED(p) __builtin_assume_aligned(p, FM_ROW_BYTES)
#define FOR_LANES for (ptrdiff_t l = 0; l < LANES; l++)

INLINE REAL FN(fold_sum)(REAL *lanes)
{
    for (ptrdiff_t half = LANES / 2; half; half /= 2)
        for (ptrdiff_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
    return lanes[0];
}

INLINE REAL FN(fold_max)(REAL *lanes)
{
    for (ptrdiff_t half = LANES / 2; half; half /= 2)
        for (ptrdiff_t l = 0; l < half; l++) lanes[l] = (lanes[l] > lanes[l + half]) ? lanes[l] : lanes[l + half];
    return lanes[0];
}

/* ---- activations ---- */

#define ACTIVATION_KERNELS(name, hidden, value, slope)                                                         \
    static void FN(forward_##name)(void *z_, const void *bias_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)     \
    {                                                                                                          \
        const REAL *restrict bias = ALIGNED(bias_);                                                            \
        (void)n;                                                                                               \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);                                                 \
            for (ptrdiff_t j = 0; j < ld; j++) { REAL z = row[j] + bias[j]; row[j] = value; }                  \
        }                                                                                                      \
    }                                                                                                          \
    static void FN(backward_##name)(void *d_, const void *a_, ptrdiff_t rows, ptrdiff_t ld)                    \
    {                                                                                                          \
        REAL *restrict delta = ALIGNED(d_);                                                                    \
        const REAL *restrict output = ALIGNED(a_);                                                             \
        for (ptrdiff_t i = 0; i < rows * ld; i++) { REAL d = delta[i], a = output[i]; (void)a; delta[i] = slope; } \
    }
FM_ACTIVATIONS(ACTIVATION_KERNELS)

/* exp(z - max z) in place, columns from n on zero; returns their sum. */
INLINE REAL FN(softmax_row)(REAL *restrict row, const REAL *restrict bias, ptrdiff_t n, ptrdiff_t ld)
{
    REAL lanes[LANES];
    FOR_LANES lanes[l] = -(REAL)INFINITY;
    for (ptrdiff_t j = 0; j < ld; j += LANES)
        FOR_LANES {
            REAL z = (j + l < n) ? row[j + l] + bias[j + l] : -(REAL)INFINITY;
            row[j + l] = z;
            lanes[l] = (lanes[l] > z) ? lanes[l] : z;
        }
    REAL most = FN(fold_max)(lanes);
    FOR_LANES lanes[l] = 0;
    for (ptrdiff_t j = 0; j < ld; j += LANES)
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
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);
        REAL sum = FN(softmax_row)(row, bias, n, ld);
        for (ptrdiff_t j = 0; j < ld; j++) row[j] /= sum;
    }
}

/* ---- losses ---- */

#define LOSS_KERNEL(name, link, target, mean, value, element_loss)                                             \
    static double FN(loss_##name)(void *z_, const void *bias_, const void *y_, const double *weight,           \
                                  ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)                                   \
    {                                                                                                          \
        const REAL *restrict bias = ALIGNED(bias_);                                                            \
        double total = 0;                                                                                      \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                 \
            REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);                                                 \
            const REAL *restrict target_row = ALIGNED((const REAL *)y_ + i * ld);                              \
            REAL w = weight ? (REAL)weight[i] : (REAL)1, lanes[LANES];                                         \
            FOR_LANES lanes[l] = 0;                                                                            \
            for (ptrdiff_t j = 0; j < ld; j += LANES)                                                          \
                FOR_LANES {                                                                                    \
                    REAL z = row[j + l] + bias[j + l], y = target_row[j + l], p = value;                       \
                    REAL loss = element_loss;                                                                  \
                    lanes[l] += (j + l < n) ? loss : (REAL)0;                                                  \
                    row[j + l] = (j + l < n) ? w * (p - y) : (REAL)0;                                          \
                }                                                                                              \
            total += (weight ? weight[i] : 1.0) * (double)FN(fold_sum)(lanes);                                 \
        }                                                                                                      \
        return mean ? total / (double)n : total;                                                               \
    }
FM_LOSSES(LOSS_KERNEL)

/* -sum y log softmax(z), log p = z - max - log sum exp(z - max) */
static double FN(loss_log_loss)(void *z_, const void *bias_, const void *y_, const double *weight,
                                ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    const REAL *bias = ALIGNED(bias_);
    double total = 0;
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);
        const REAL *restrict y = ALIGNED((const REAL *)y_ + i * ld);
        REAL w = weight ? (REAL)weight[i] : (REAL)1, lanes[LANES];
        REAL sum = FN(softmax_row)(row, bias, n, ld);
        REAL inverse = (REAL)1 / sum, log_sum = FN(log)(sum);
        FOR_LANES lanes[l] = 0;
        for (ptrdiff_t j = 0; j < ld; j += LANES)
            FOR_LANES {
                /* log of exp(z - top) gives z - top back; the clip bounds what an underflow would make of it */
                REAL loss = FN(clip_log_loss)(log_sum - FN(log)(row[j + l]));
                lanes[l] += (y[j + l] == (REAL)0 && row[j + l] == row[j + l]) ? (REAL)0 : y[j + l] * loss;
                row[j + l] = (j + l < n) ? w * (row[j + l] * inverse - y[j + l]) : (REAL)0;
            }
        total += (weight ? weight[i] : 1.0) * (double)FN(fold_sum)(lanes);
    }
    return total;
}

/* ---- optimizer steps ---- */

#define STEP_ELEMENT(lane, update)                                                                             \
    {                                                                                                          \
        REAL w0 = w[i], g = (grad[i] + alpha * w0) * inverse_weight;                                           \
        lanes[lane] += w0 * w0;                                                                                \
        update                                                                                                 \
    }
#define STEP_KERNEL(name, n_states, rate_of_t, update)                                                         \
    static double FN(step_##name)(void *w_, const void *grad_, void *const *state, ptrdiff_t count,            \
                                  const fm_update *u)                                                          \
    {                                                                                                          \
        REAL *restrict w = w_, *restrict s0 = state[0], *restrict s1 = (n_states > 1) ? state[1] : NULL;       \
        const REAL *restrict grad = grad_;                                                                     \
        const REAL alpha = (REAL)u->alpha, inverse_weight = (REAL)u->inverse_weight, rate = (REAL)u->rate,     \
                   momentum = (REAL)u->momentum, beta_1 = (REAL)u->beta_1, rest_1 = (REAL)(1.0 - u->beta_1),   \
                   beta_2 = (REAL)u->beta_2, rest_2 = (REAL)(1.0 - u->beta_2), epsilon = (REAL)u->epsilon;     \
        const int nesterov = u->nesterov != 0.0;                                                               \
        (void)rate, (void)momentum, (void)beta_1, (void)rest_1, (void)beta_2, (void)rest_2, (void)epsilon;     \
        (void)nesterov, (void)s1;                                                                              \
        REAL lanes[LANES];                                                                                     \
        FOR_LANES lanes[l] = 0;                                                                                \
        ptrdiff_t whole = count - count % LANES;                                                               \
        for (ptrdiff_t j = 0; j < whole; j += LANES)                                                           \
            FOR_LANES { ptrdiff_t i = j + l; STEP_ELEMENT(l, update) }                                         \
        for (ptrdiff_t i = whole; i < count; i++) STEP_ELEMENT(i - whole, update)                              \
        return FN(fold_sum)(lanes);                                                                            \
    }
FM_OPTIMIZERS(STEP_KERNEL)

static void FN(column_sums)(void *out_, const void *d_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, int accumulate)
{
    REAL *out = out_;
    for (ptrdiff_t j = 0; j < ld; j += LANES) {
        REAL lanes[LANES];
        FOR_LANES lanes[l] = 0;
        for (ptrdiff_t i = 0; i < rows; i++) {
            const REAL *d = ALIGNED((const REAL *)d_ + i * ld + j);
            FOR_LANES lanes[l] += d[l];
        }
        ptrdiff_t width = (n - j < LANES) ? n - j : LANES;
        for (ptrdiff_t l = 0; l < width; l++) out[j + l] = accumulate ? out[j + l] + lanes[l] : lanes[l];
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
