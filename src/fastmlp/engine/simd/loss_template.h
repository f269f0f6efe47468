/* Losses and their gradients, and the softmax that some of them end in, for REAL. */

/* Few outputs would leave most lanes of a row empty, and a sum over each row would cost more than the row. Up to
 * FM_NARROW of them are turned: LANES rows at a time, one row to a lane, t[j][l] = column j of row i + l. */
INLINE void FN(turn_in)(REAL (*restrict t)[LANES], const REAL *restrict z, ptrdiff_t count, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t first = 0; first < LANES; first += VECTOR_LANES)
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES) {
            FN(vector) r[VECTOR_LANES];
            UNROLLED for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
                r[l] = (first + l < count) ? *(const FN(vector) *)(z + (first + l) * ld + j) : (FN(vector)){0};
            FN(transpose_square)(r);
            UNROLLED for (ptrdiff_t l = 0; l < VECTOR_LANES; l++) *(FN(vector) *)(t[j + l] + first) = r[l];
        }
}

INLINE void FN(turn_out)(REAL *restrict z, REAL (*restrict t)[LANES], ptrdiff_t count, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t first = 0; first < count; first += VECTOR_LANES)
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES) {
            FN(vector) r[VECTOR_LANES];
            UNROLLED for (ptrdiff_t l = 0; l < VECTOR_LANES; l++) r[l] = *(const FN(vector) *)(t[j + l] + first);
            FN(transpose_square)(r);
            UNROLLED for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
                if (first + l < count) *(FN(vector) *)(z + (first + l) * ld + j) = r[l];
        }
}

/* t = exp(t + bias - max), sum = its sums, for LANES turned rows; dot = sums of y (t + bias - max), if there is y */
INLINE void FN(softmax_turned)(REAL (*restrict t)[LANES], const REAL *restrict bias, ptrdiff_t n, REAL *restrict sum,
                               REAL (*restrict y)[LANES], REAL *restrict dot)
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
    if (y) FOR_LANES dot[l] = 0;
    for (ptrdiff_t j = 0; j < n; j++)
        FOR_LANES {
            if (y) dot[l] += (y[j][l] != (REAL)0) ? y[j][l] * (t[j][l] - top[l]) : (REAL)0;
            REAL e = FN(exp)(t[j][l] - top[l]);
            t[j][l] = e;
            sum[l] += e;
        }
}

/* row = exp(row + bias - max), columns from n on zero; returns their sum. Likewise dot. */
INLINE REAL FN(softmax_row)(REAL *restrict row, const REAL *restrict bias, ptrdiff_t n, const REAL *restrict y,
                            REAL *dot)
{
    const ptrdiff_t width = WHOLE_GROUPS(n);
    REAL lanes[LANES], dots[LANES];
    FOR_LANES lanes[l] = -(REAL)INFINITY;
    for (ptrdiff_t j = 0; j < width; j += LANES)
        FOR_LANES {
            REAL z = (j + l < n) ? row[j + l] + bias[j + l] : -(REAL)INFINITY;
            row[j + l] = z;
            lanes[l] = (lanes[l] > z) ? lanes[l] : z;
        }
    REAL most = FN(fold_max)(lanes);
    FOR_LANES lanes[l] = 0;
    if (y) FOR_LANES dots[l] = 0;
    for (ptrdiff_t j = 0; j < width; j += LANES)
        FOR_LANES {
            if (y) dots[l] += (y[j + l] != (REAL)0) ? y[j + l] * (row[j + l] - most) : (REAL)0;
            REAL e = FN(exp)(row[j + l] - most);
            row[j + l] = e;
            lanes[l] += e;
        }
    if (y) *dot = FN(fold_sum)(dots);
    return FN(fold_sum)(lanes);
}

/* ---- blocks of outputs with a softmax each ----
 *
 * They may begin at any column, where no whole groups can be read or written: column by column, a row to a lane. */

INLINE void FN(column_in)(REAL *restrict v, const REAL *restrict z, ptrdiff_t count, ptrdiff_t ld)
{
    FOR_LANES v[l] = (l < count) ? z[l * ld] : (REAL)0;
}

INLINE void FN(column_out)(REAL *restrict z, const REAL *restrict v, ptrdiff_t count, ptrdiff_t ld)
{
    for (ptrdiff_t l = 0; l < count; l++) z[l * ld] = v[l];
}

/* z = exp(z + bias - max), sum = its sums, for n columns of up to LANES rows; dot as above */
INLINE void FN(softmax_columns)(REAL *restrict z, const REAL *restrict bias, ptrdiff_t count, ptrdiff_t n, ptrdiff_t ld,
                                REAL *restrict sum, const REAL *restrict y, REAL *restrict dot)
{
    REAL top[LANES], v[LANES], target[LANES] = {0};
    FOR_LANES top[l] = -(REAL)INFINITY;
    for (ptrdiff_t j = 0; j < n; j++) {
        FN(column_in)(v, z + j, count, ld);
        FOR_LANES {
            v[l] += bias[j];
            top[l] = (top[l] > v[l]) ? top[l] : v[l];
        }
    }
    FOR_LANES sum[l] = 0;
    if (y) FOR_LANES dot[l] = 0;
    for (ptrdiff_t j = 0; j < n; j++) {
        FN(column_in)(v, z + j, count, ld);
        if (y) FN(column_in)(target, y + j, count, ld);
        FOR_LANES {
            REAL shifted = v[l] + bias[j] - top[l];
            if (y) dot[l] += (target[l] != (REAL)0) ? target[l] * shifted : (REAL)0;
            v[l] = FN(exp)(shifted);
            sum[l] += v[l];
        }
        FN(column_out)(z + j, v, count, ld);
    }
}

static void FN(softmax_segments)(void *z_, const void *bias_, ptrdiff_t rows, ptrdiff_t ld, const ptrdiff_t *offsets,
                                 ptrdiff_t n_segments)
{
    for (ptrdiff_t i = 0; i < rows; i += LANES)
        for (ptrdiff_t s = 0; s < n_segments; s++) {
            const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES, n = offsets[s + 1] - offsets[s];
            REAL *z = (REAL *)z_ + i * ld + offsets[s], v[LANES], sum[LANES];
            FN(softmax_columns)(z, (const REAL *)bias_ + offsets[s], count, n, ld, sum, NULL, NULL);
            for (ptrdiff_t j = 0; j < n; j++) {
                FN(column_in)(v, z + j, count, ld);
                FOR_LANES v[l] /= sum[l];
                FN(column_out)(z + j, v, count, ld);
            }
        }
}

static void FN(forward_softmax)(void *z_, const void *bias_, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    const REAL *bias = ALIGNED(bias_);
    if (n <= FM_NARROW) {
        for (ptrdiff_t i = 0; i < rows; i += LANES) {
            const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;
            REAL t[FM_NARROW][LANES], sum[LANES];
            FN(turn_in)(t, (REAL *)z_ + i * ld, count, n, ld);
            FN(softmax_turned)(t, bias, n, sum, NULL, NULL);
            for (ptrdiff_t j = 0; j < n; j++) FOR_LANES t[j][l] /= sum[l];
            FN(turn_out)((REAL *)z_ + i * ld, t, count, n, ld);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);
        REAL sum = FN(softmax_row)(row, bias, n, NULL, NULL);
        for (ptrdiff_t j = 0; j < n; j++) row[j] /= sum;
    }
}

/* ---- losses ---- */

/* x, but `high` above reach and `low` below -reach */
INLINE REAL FN(bound)(REAL x, REAL low, REAL high, REAL reach)
{
    REAL y = (x > reach) ? high : x;
    return (x < -reach) ? low : y;
}

INLINE REAL FN(log_cosh)(REAL r)
{
    REAL t = FN(tanh)(r), a = FN(abs)(r);
    REAL near = R(-0.5) * FN(log1p)(-t * t), far = a + FN(softplus)(R(-2.0) * a) - R(0.6931471805599453);
    return (a < R(1.0)) ? near : far;
}

/* p = y exp((1 - k) z). The formula would lose its digits where a or b is nearly 0; there it is written with exp(x) - 1. */
INLINE REAL FN(tweedie)(REAL y, REAL z, REAL p, REAL k)
{
    const REAL a = R(1.0) - k, b = R(2.0) - k, log_y = FN(log)(y), q = FN(exp)(b * z);
    const REAL c = (k < R(1.5)) ? a : b, x = c * (log_y - z);
    const REAL e = FN(bounded_expm1)(FN(bounded)(x, R(-1.0), R(1.0))) / c;
    REAL near = (k < R(1.5)) ? (p * (e - R(1.0)) + q) / b : (q * e - (p - q)) / a;
    REAL far = FN(exp)(b * log_y) / (a * b) - p / a + q / b;
    return (y == R(0.0)) ? q / b : (FN(abs)(x) < R(1.0)) ? near : far;
}

/* -(1 - p_t)^gamma log(p_t), p_t = logistic(x), and its slope in x. Powers of 1 - p_t are exponentials of multiples of
 * log(1 - p_t) = -log(1 + exp(x)), which no p_t near 1 takes digits from. */
INLINE REAL FN(focal_loss)(REAL x, REAL gamma)
{
    return FN(exp)(-gamma * FN(softplus)(x)) * FN(softplus)(-x);
}

INLINE REAL FN(focal_slope)(REAL x, REAL gamma)
{
    return -FN(exp)(-gamma * FN(softplus)(x)) * (FN(logistic)(-x) + gamma * FN(logistic)(x) * FN(softplus)(-x));
}

#define LOSS_NUMBER(name, initial, low, closed, high)                                                          \
    const REAL name = (REAL)options->numbers[FM_OPTION_##name];                                                \
    (void)name;
#define LOSS_ELEMENT(z_value, y_value, q_value, w_value, value, element_loss, slope, sum, delta)               \
    {                                                                                                          \
        REAL z = z_value, y = y_value, q = q_value, p = value;                                                 \
        (void)q, (void)z;                                                                                      \
        sum += element_loss;                                                                                   \
        delta = w_value * (slope);                                                                             \
    }
#define LOSS_KERNEL(name, link, target, domain, takes, mean, value, element_loss, slope)                       \
    static void FN(loss_##name)(void *z_, const void *bias_, const void *y_, const double *weight,             \
                                double *row_loss, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,                   \
                                const fm_loss_options *options)                                                \
    {                                                                                                          \
        const REAL *restrict bias = ALIGNED(bias_);                                                            \
        const REAL *restrict level = ALIGNED((const REAL *)options->quantiles);                                \
        const double scale = mean ? 1.0 / (double)n : 1.0;                                                     \
        FM_LOSS_NUMBERS(LOSS_NUMBER)                                                                           \
        if (n <= FM_NARROW) {                                                                                  \
            for (ptrdiff_t i = 0; i < rows; i += LANES) {                                                      \
                const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;                                 \
                REAL t[FM_NARROW][LANES], targets[FM_NARROW][LANES], w[LANES], sum[LANES];                     \
                FN(turn_in)(t, (REAL *)z_ + i * ld, count, n, ld);                                             \
                FN(turn_in)(targets, (const REAL *)y_ + i * ld, count, n, ld);                                 \
                FOR_LANES w[l] = (weight && l < count) ? (REAL)weight[i + l] : (REAL)1;                        \
                FOR_LANES sum[l] = 0;                                                                          \
                for (ptrdiff_t j = 0; j < n; j++)                                                              \
                    FOR_LANES LOSS_ELEMENT(t[j][l] + bias[j], targets[j][l], level[j], w[l], value,            \
                                           element_loss, slope, sum[l], t[j][l])                               \
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
                FOR_LANES LOSS_ELEMENT(row[j + l] + bias[j + l], targets[j + l], level[j + l], w, value,       \
                                       element_loss, slope, sum[l], row[j + l])                                \
            for (ptrdiff_t j = whole; j < n; j++)                                                              \
                LOSS_ELEMENT(row[j] + bias[j], targets[j], level[j], w, value, element_loss, slope,            \
                             sum[j - whole], row[j])                                                           \
            row_loss[i] = (weight ? weight[i] : 1.0) * scale * (double)FN(fold_sum)(sum);                      \
        }                                                                                                      \
    }
FM_LOSSES(LOSS_KERNEL)

/* ---- losses of a softmax ----
 *
 * HARD      -log p_y, log p = log(exp(z - max)) - log(sum): the logarithm gives z - max back, and the clip bounds what
 *           an underflow makes of it. NaN stays NaN where y is zero.
 * SMOOTHED  -sum y log p = log(sum) - dot for targets that add up to 1; not clipped, so that its slope p - y is exact
 * FOCAL     (1 - p_y)^gamma L, L = -log p_y, and with 1 - p_y = rest / sum
 *           dL/dz = factor * (p - y),  factor = (1 - p_y)^gamma (1 + gamma p_y L / (1 - p_y)) */
#define HARD 0
#define SMOOTHED 1
#define FOCAL 2

#define LOG_LOSS_ELEMENT(e, y, inverse, log_sum, w, sum)                                                       \
    {                                                                                                          \
        REAL loss = FN(clip_log_loss)(log_sum - FN(log)(e));                                                   \
        sum += (y == (REAL)0 && e == e) ? (REAL)0 : y * loss;                                                  \
        e = w * (e * inverse - y);                                                                             \
    }

/* The loss of a row from own = exp(z_y - max), rest = the sum of the others and log_own = z_y - max. Near p_y = 1, L is
 * log(1 + rest / own); elsewhere own may have underflowed. */
INLINE REAL FN(focal_row)(REAL own, REAL rest, REAL log_own, REAL inverse, REAL log_sum, REAL gamma, REAL *factor)
{
    REAL loss = (log_own > R(-1.0)) ? FN(log1p)(rest / own) : log_sum - log_own;
    REAL wrong = rest * inverse;
    REAL power = FN(exp)(gamma * FN(log)((wrong < MIN_NORMAL) ? MIN_NORMAL : wrong));
    REAL ratio = (wrong > R(0.0)) ? loss / wrong : R(1.0);
    *factor = power * (R(1.0) + gamma * (own * inverse) * ratio);
    return power * loss;
}

INLINE void FN(softmax_loss)(void *z_, const void *bias_, const void *y_, const double *weight, double *row_loss,
                             ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options, const int kind)
{
    const REAL *bias = ALIGNED(bias_);
    const REAL gamma = (REAL)options->numbers[FM_OPTION_focal_gamma];
    if (n <= FM_NARROW) {
        for (ptrdiff_t i = 0; i < rows; i += LANES) {
            const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;
            REAL t[FM_NARROW][LANES], targets[FM_NARROW][LANES], w[LANES], inverse[LANES], log_sum[LANES], sum[LANES],
                dot[LANES];
            FN(turn_in)(t, (REAL *)z_ + i * ld, count, n, ld);
            FN(turn_in)(targets, (const REAL *)y_ + i * ld, count, n, ld);
            FN(softmax_turned)(t, bias, n, sum, (kind == HARD) ? NULL : targets, dot);
            FOR_LANES w[l] = (weight && l < count) ? (REAL)weight[i + l] : (REAL)1;
            FOR_LANES inverse[l] = (REAL)1 / sum[l];
            FOR_LANES log_sum[l] = FN(log)(sum[l]);
            FOR_LANES sum[l] = 0;
            if (kind == HARD) {
                for (ptrdiff_t j = 0; j < n; j++)
                    FOR_LANES LOG_LOSS_ELEMENT(t[j][l], targets[j][l], inverse[l], log_sum[l], w[l], sum[l])
            } else if (kind == SMOOTHED) {
                FOR_LANES sum[l] = log_sum[l] - dot[l];
                for (ptrdiff_t j = 0; j < n; j++) FOR_LANES t[j][l] = w[l] * (t[j][l] * inverse[l] - targets[j][l]);
            } else {
                REAL own[LANES], rest[LANES], factor[LANES];
                FOR_LANES own[l] = rest[l] = 0;
                for (ptrdiff_t j = 0; j < n; j++)
                    FOR_LANES {
                        own[l] += (targets[j][l] == (REAL)0) ? (REAL)0 : t[j][l];
                        rest[l] += (targets[j][l] == (REAL)0) ? t[j][l] : (REAL)0;
                    }
                FOR_LANES sum[l] = FN(focal_row)(own[l], rest[l], dot[l], inverse[l], log_sum[l], gamma, &factor[l]);
                for (ptrdiff_t j = 0; j < n; j++)
                    FOR_LANES {
                        REAL apart = (targets[j][l] == (REAL)0) ? t[j][l] : -rest[l];
                        t[j][l] = w[l] * (factor[l] * apart * inverse[l]);
                    }
            }
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
        REAL w = weight ? (REAL)weight[i] : (REAL)1, sum[LANES], dot = 0, loss;
        REAL total = FN(softmax_row)(row, bias, n, (kind == HARD) ? NULL : y, &dot);
        REAL inverse = (REAL)1 / total, log_sum = FN(log)(total);
        if (kind == HARD) {
            FOR_LANES sum[l] = 0;
            for (ptrdiff_t j = 0; j < whole; j += LANES)
                FOR_LANES LOG_LOSS_ELEMENT(row[j + l], y[j + l], inverse, log_sum, w, sum[l])
            for (ptrdiff_t j = whole; j < n; j++)
                LOG_LOSS_ELEMENT(row[j], y[j], inverse, log_sum, w, sum[j - whole])
            loss = FN(fold_sum)(sum);
        } else if (kind == SMOOTHED) {
            loss = log_sum - dot;
            for (ptrdiff_t j = 0; j < n; j++) row[j] = w * (row[j] * inverse - y[j]);
        } else {
            REAL others[LANES], factor;
            FOR_LANES sum[l] = others[l] = 0;
            for (ptrdiff_t j = 0; j < n; j += LANES)  /* behind column n the row is zero, and so is y */
                FOR_LANES {
                    sum[l] += (y[j + l] == (REAL)0) ? (REAL)0 : row[j + l];
                    others[l] += (y[j + l] == (REAL)0) ? row[j + l] : (REAL)0;
                }
            REAL rest = FN(fold_sum)(others);
            loss = FN(focal_row)(FN(fold_sum)(sum), rest, dot, inverse, log_sum, gamma, &factor);
            for (ptrdiff_t j = 0; j < n; j++) row[j] = w * (factor * ((y[j] == (REAL)0) ? row[j] : -rest) * inverse);
        }
        row_loss[i] = (weight ? weight[i] : 1.0) * (double)loss;
    }
}

/* the log loss of each block of outputs, added up */
INLINE void FN(segments_loss)(void *z_, const void *bias_, const void *y_, const double *weight, double *row_loss,
                              ptrdiff_t rows, ptrdiff_t ld, const fm_loss_options *options, const int kind)
{
    for (ptrdiff_t i = 0; i < rows; i += LANES) {
        const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;
        REAL w[LANES], loss[LANES];
        FOR_LANES w[l] = (weight && l < count) ? (REAL)weight[i + l] : (REAL)1;
        FOR_LANES loss[l] = 0;
        for (ptrdiff_t s = 0; s < options->n_segments; s++) {
            const ptrdiff_t start = options->offsets[s], n = options->offsets[s + 1] - start;
            REAL *z = (REAL *)z_ + i * ld + start;
            const REAL *y = (const REAL *)y_ + i * ld + start;
            REAL v[LANES], target[LANES], inverse[LANES], log_sum[LANES], sum[LANES], dot[LANES] = {0};
            FN(softmax_columns)(z, (const REAL *)bias_ + start, count, n, ld, sum, (kind == HARD) ? NULL : y, dot);
            FOR_LANES inverse[l] = (REAL)1 / sum[l];
            FOR_LANES log_sum[l] = FN(log)(sum[l]);
            FOR_LANES sum[l] = (kind == HARD) ? (REAL)0 : log_sum[l] - dot[l];
            for (ptrdiff_t j = 0; j < n; j++) {
                FN(column_in)(v, z + j, count, ld);
                FN(column_in)(target, y + j, count, ld);
                if (kind == HARD)
                    FOR_LANES LOG_LOSS_ELEMENT(v[l], target[l], inverse[l], log_sum[l], w[l], sum[l])
                else
                    FOR_LANES v[l] = w[l] * (v[l] * inverse[l] - target[l]);
                FN(column_out)(z + j, v, count, ld);
            }
            FOR_LANES loss[l] += sum[l];
        }
        for (ptrdiff_t l = 0; l < count; l++) row_loss[i + l] = (weight ? weight[i + l] : 1.0) * (double)loss[l];
    }
}

static void FN(loss_log_loss)(void *z, const void *bias, const void *y, const double *weight, double *row_loss,
                              ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options)
{
    const int smoothed = options->numbers[FM_OPTION_label_smoothing] > 0.0;
    if (options->n_segments > 1 && smoothed)
        FN(segments_loss)(z, bias, y, weight, row_loss, rows, ld, options, SMOOTHED);
    else if (options->n_segments > 1)
        FN(segments_loss)(z, bias, y, weight, row_loss, rows, ld, options, HARD);
    else if (smoothed)
        FN(softmax_loss)(z, bias, y, weight, row_loss, rows, n, ld, options, SMOOTHED);
    else
        FN(softmax_loss)(z, bias, y, weight, row_loss, rows, n, ld, options, HARD);
}

static void FN(loss_focal)(void *z, const void *bias, const void *y, const double *weight, double *row_loss,
                           ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options)
{
    FN(softmax_loss)(z, bias, y, weight, row_loss, rows, n, ld, options, FOCAL);
}

/* own = z_y, NaN if any z is; most = the largest of the others, the first of equal ones in column `at`.
 * Slope -1 in column y and 1 in column `at` where the margin is too small, else 0. */
#define HINGE_OWN(z, y) ((((y) != (REAL)0) | ((z) != (z))) ? (z) : (REAL)0)
#define HINGE_OTHER(z, y) (((y) != (REAL)0) ? -(REAL)INFINITY : (z))
#define HINGE_SLOPE(y, first) (((y) != (REAL)0) ? (REAL)-1 : (first) ? (REAL)1 : (REAL)0)

static void FN(loss_hinge)(void *z_, const void *bias_, const void *y_, const double *weight, double *row_loss,
                           ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options)
{
    (void)options;
    const REAL *restrict bias = ALIGNED(bias_);
    if (n <= FM_NARROW) {
        for (ptrdiff_t i = 0; i < rows; i += LANES) {
            const ptrdiff_t count = (rows - i < LANES) ? rows - i : LANES;
            REAL t[FM_NARROW][LANES], targets[FM_NARROW][LANES], own[LANES], most[LANES], at[LANES], scale[LANES];
            FN(turn_in)(t, (REAL *)z_ + i * ld, count, n, ld);
            FN(turn_in)(targets, (const REAL *)y_ + i * ld, count, n, ld);
            FOR_LANES {
                own[l] = 0;
                most[l] = -(REAL)INFINITY;
                at[l] = -1;
            }
            for (ptrdiff_t j = 0; j < n; j++) {
                const REAL column = (REAL)j;
                FOR_LANES {
                    REAL z = t[j][l] + bias[j], other = HINGE_OTHER(z, targets[j][l]);
                    own[l] += HINGE_OWN(z, targets[j][l]);
                    at[l] = (other > most[l]) ? column : at[l];
                    most[l] = (other > most[l]) ? other : most[l];
                }
            }
            FOR_LANES {
                REAL w = (weight && l < count) ? (REAL)weight[i + l] : (REAL)1, margin = (REAL)1 + (most[l] - own[l]);
                scale[l] = w * FN(bound)(margin, (REAL)0, (REAL)1, (REAL)0);
                own[l] = ((REAL)0 > margin) ? (REAL)0 : margin;
            }
            for (ptrdiff_t j = 0; j < n; j++) {
                const REAL column = (REAL)j;
                FOR_LANES t[j][l] = scale[l] * HINGE_SLOPE(targets[j][l], at[l] == column);
            }
            FN(turn_out)((REAL *)z_ + i * ld, t, count, n, ld);
            for (ptrdiff_t l = 0; l < count; l++) row_loss[i + l] = (weight ? weight[i + l] : 1.0) * (double)own[l];
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *restrict row = ALIGNED((REAL *)z_ + i * ld);
        const REAL *restrict y = ALIGNED((const REAL *)y_ + i * ld);
        REAL own[LANES], lanes[LANES];
        FOR_LANES own[l] = 0;
        FOR_LANES lanes[l] = -(REAL)INFINITY;
        for (ptrdiff_t j = 0; j < n; j += LANES)
            FOR_LANES {
                REAL z = (j + l < n) ? row[j + l] + bias[j + l] : -(REAL)INFINITY;
                REAL other = HINGE_OTHER(z, y[j + l]);
                row[j + l] = z;
                own[l] += HINGE_OWN(z, y[j + l]);
                lanes[l] = (other > lanes[l]) ? other : lanes[l];
            }
        const REAL most = FN(fold_max)(lanes), margin = (REAL)1 + (most - FN(fold_sum)(own));
        const REAL scale = (weight ? (REAL)weight[i] : (REAL)1) * FN(bound)(margin, (REAL)0, (REAL)1, (REAL)0);
        ptrdiff_t at = 0;
        while (at < n && !(HINGE_OTHER(row[at], y[at]) == most)) at++;
        for (ptrdiff_t j = 0; j < n; j++) row[j] = scale * HINGE_SLOPE(y[j], j == at);
        row_loss[i] = (weight ? weight[i] : 1.0) * (double)(((REAL)0 > margin) ? (REAL)0 : margin);
    }
}
