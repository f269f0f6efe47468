/* What is done to weights and gradients between the products, for REAL: steps of optimizers, penalty and norm, lengths of
 * columns. */

#define STEP_ELEMENT(lane, adjusted, update)                                                                   \
    {                                                                                                          \
        REAL w0 = w[i], g = (grad[i] + alpha * w0) * inverse_weight;                                           \
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
 * would not vectorise, hence vectors. */
static double FN(penalise)(void *grad_, const void *w_, ptrdiff_t count, const fm_update *u, double *norm)
{
    REAL *restrict grad = grad_;
    const REAL *restrict w = w_;
    const REAL alpha = (REAL)u->alpha, inverse_weight = (REAL)u->inverse_weight;
    const ptrdiff_t whole = count - count % LANES;
    FN(vector) sums[GROUP_VECTORS];
    FN(wide) wide_sums[GROUP_VECTORS];
    REAL lanes[LANES];
    double squares[LANES];
    FOR_GROUP sums[v] = FN(splat)(0);
    FOR_GROUP wide_sums[v] = WIDENED(FN(splat)(0));
    for (ptrdiff_t j = 0; j < whole; j += LANES)
        FOR_GROUP {
            FN(vector) *out = (FN(vector) *)(grad + j + v * VECTOR_LANES);
            const FN(vector) w0 = *(const FN(vector) *)(w + j + v * VECTOR_LANES);
            const FN(vector) g = (*out + alpha * w0) * inverse_weight;
            const FN(wide) wide = WIDENED(g);
            sums[v] += w0 * w0;
            wide_sums[v] += wide * wide;
            *out = g;
        }
    memcpy(lanes, sums, sizeof lanes);
    memcpy(squares, wide_sums, sizeof squares);
    for (ptrdiff_t i = whole; i < count; i++) {
        grad[i] = (grad[i] + alpha * w[i]) * inverse_weight;
        lanes[i - whole] += w[i] * w[i];
        squares[i - whole] += (double)grad[i] * (double)grad[i];
    }
    for (ptrdiff_t half = LANES / 2; half; half /= 2)
        for (ptrdiff_t l = 0; l < half; l++) squares[l] += squares[l + half];
    *norm = squares[0];
    return FN(fold_sum)(lanes);
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
            const double length = sqrt(squares[j]);
            longer |= length > most;
            factor[j] = (length > most) ? (REAL)(most / length) : (REAL)1;
        }
        if (longer)
            for (ptrdiff_t i = 0; i < rows; i++)
                for (ptrdiff_t j = 0; j < width; j++) w[i * n + j] *= factor[j];
    }
}
