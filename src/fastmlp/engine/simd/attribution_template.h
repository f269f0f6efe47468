/* What gradients with respect to inputs, and their means along paths, do beside the passes, for REAL. */

static void FN(ones)(void *out, ptrdiff_t count)
{
    for (ptrdiff_t j = 0; j < count; j++) ((REAL *)out)[j] = 1;
}

static void FN(logistic_slopes)(void *slopes, const void *z, ptrdiff_t count)
{
    for (ptrdiff_t j = 0; j < count; j++) {
        const double small = exp(-fabs((double)((const REAL *)z)[j]));
        ((REAL *)slopes)[j] = (REAL)(small / ((1 + small) * (1 + small)));
    }
}

#define TARGET_OF(i) (targets ? targets[i] : k)

static void FN(seed)(void *delta_, const void *slopes_, const ptrdiff_t *targets, ptrdiff_t k, ptrdiff_t rows,
                     ptrdiff_t ld)
{
    REAL *restrict delta = delta_;
    const REAL *restrict slopes = slopes_;
    memset(delta, 0, sizeof(REAL) * (size_t)(rows * ld));
    for (ptrdiff_t i = 0; i < rows; i++) delta[i * ld + TARGET_OF(i)] = slopes[i * ld + TARGET_OF(i)];
}

static void FN(softmax_seed)(void *delta_, const void *p_, const ptrdiff_t *targets, ptrdiff_t k, ptrdiff_t rows,
                             ptrdiff_t ld, const ptrdiff_t *offsets)
{
    REAL *restrict delta = delta_;
    const REAL *restrict p = p_;
    memset(delta, 0, sizeof(REAL) * (size_t)(rows * ld));
    for (ptrdiff_t i = 0; i < rows; i++, p += ld, delta += ld) {
        const ptrdiff_t own = TARGET_OF(i);
        const ptrdiff_t *segment = offsets;
        while (segment[1] <= own) segment++;
        REAL others = 0; /* the sum of the other p_j has digits that 1 - p_k has lost */
        for (ptrdiff_t j = segment[0]; j < segment[1]; j++) {
            if (j == own) continue;
            others += p[j];
            delta[j] = -p[own] * p[j];
        }
        delta[own] = p[own] * others;
    }
}

#define STEP_OF(i, j) ((double)x[(i) * x_ld + (j)] - (double)baseline[(i) * baseline_ld + (j)])

static void FN(path_points)(void *points, ptrdiff_t ld, const void *x_, ptrdiff_t x_ld, const void *baseline_,
                            ptrdiff_t baseline_ld, double node, ptrdiff_t rows, ptrdiff_t n)
{
    const REAL *x = x_, *baseline = baseline_;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < n; j++)
            ((REAL *)points)[i * ld + j] = (REAL)((double)baseline[i * baseline_ld + j] + node * STEP_OF(i, j));
}

static void FN(add_weighted)(double *restrict sums, const void *values, double weight, ptrdiff_t count)
{
    for (ptrdiff_t j = 0; j < count; j++) sums[j] += weight * (double)((const REAL *)values)[j];
}

static void FN(times_path)(void *out_, const double *means, const void *x_, ptrdiff_t x_ld, const void *baseline_,
                           ptrdiff_t baseline_ld, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t n)
{
    const REAL *x = x_, *baseline = baseline_;
    REAL *out = out_;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t k = 0; k < count; k++, out += n, means += n)
            for (ptrdiff_t j = 0; j < n; j++) out[j] = (REAL)(STEP_OF(i, j) * means[j]);
}
