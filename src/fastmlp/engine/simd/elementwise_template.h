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

INLINE void FN(drop)(REAL *out, const REAL *in, FN(words) random, uint32_t threshold, FN(vector) factor)
{
    FN(vector) kept = __builtin_convertvector(-(random >= threshold), FN(vector));
    *(FN(vector) *)out = *(const FN(vector) *)in * (kept * factor);
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
    FN(words) lane;
    FOR_VECTOR lane[l] = (uint32_t)l;
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
    REAL top[LANES], v[LANES], target[LANES];
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

/* p = y exp((1 - k) z) */
INLINE REAL FN(tweedie)(REAL y, REAL z, REAL p, REAL k)
{
    REAL a = R(1.0) - k, b = R(2.0) - k;
    return FN(exp)(b * FN(log)(y)) / (a * b) - p / a + FN(exp)(b * z) / b;
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
            REAL v[LANES], target[LANES], inverse[LANES], log_sum[LANES], sum[LANES], dot[LANES];
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
