/* What layers over the columns of a table do, for REAL: scales, parametric activations, levels, embeddings of numbers.
 *
 * Rows of inputs, outputs and deltas begin anywhere, and nothing outside their columns is read or written. Lanes are
 * columns, frequencies or, where no sum runs over them, rows. Gradients add in ascending order of rows.
 */
#define SUM_VECTORS 4 /* vectors of columns that are summed at a time */

/* grad (count,) = [grad +] sum over rows of d x, or with f of d (f - x); count is at most that of the vectors */
INLINE void FN(column_sums)(REAL *grad, const REAL *d, ptrdiff_t d_ld, const REAL *x, ptrdiff_t x_ld, const REAL *f,
                            ptrdiff_t f_ld, ptrdiff_t rows, ptrdiff_t count, const int vectors, int accumulate)
{
    FN(vector) sum[SUM_VECTORS];
    UNROLLED for (ptrdiff_t v = 0; v < vectors; v++)
        sum[v] = accumulate ? FN(load_up_to)(grad + v * VECTOR_LANES, count - v * VECTOR_LANES) : FN(splat)(0);
    for (ptrdiff_t i = 0; i < rows; i++)
        UNROLLED for (ptrdiff_t v = 0; v < vectors; v++) {
            const ptrdiff_t at = v * VECTOR_LANES, n = count - at;
            FN(vector) factor = FN(load_up_to)(x + i * x_ld + at, n);
            if (f) factor = FN(load_up_to)(f + i * f_ld + at, n) - factor;
            sum[v] = FN(vfma)(FN(load_up_to)(d + i * d_ld + at, n), factor, sum[v]);
        }
    UNROLLED for (ptrdiff_t v = 0; v < vectors; v++)
        FN(store_up_to)(grad + v * VECTOR_LANES, sum[v], count - v * VECTOR_LANES);
}

static void FN(all_column_sums)(REAL *grad, const REAL *d, ptrdiff_t d_ld, const REAL *x, ptrdiff_t x_ld, const REAL *f,
                                ptrdiff_t f_ld, ptrdiff_t rows, ptrdiff_t n, int accumulate)
{
    const ptrdiff_t tile = SUM_VECTORS * VECTOR_LANES;
    ptrdiff_t j = 0;
    for (; j + tile <= n; j += tile)
        FN(column_sums)(grad + j, d + j, d_ld, x + j, x_ld, f ? f + j : f, f_ld, rows, tile, SUM_VECTORS, accumulate);
    for (; j < n; j += VECTOR_LANES)
        FN(column_sums)(grad + j, d + j, d_ld, x + j, x_ld, f ? f + j : f, f_ld, rows, n - j, 1, accumulate);
}

/* ---- scale ---- */

static void FN(scale)(void *out_, ptrdiff_t out_ld, const void *x_, ptrdiff_t x_ld, const void *s_, ptrdiff_t rows,
                      ptrdiff_t n)
{
    const REAL *s = s_;
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *out = (REAL *)out_ + i * out_ld;
        const REAL *x = (const REAL *)x_ + i * x_ld;
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES)
            FN(store_up_to)(out + j, FN(load_up_to)(x + j, n - j) * FN(load_up_to)(s + j, n - j), n - j);
    }
}

static void FN(scale_gradient)(void *grad, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t d_ld, ptrdiff_t rows,
                               ptrdiff_t n, int accumulate)
{
    FN(all_column_sums)(grad, d, d_ld, x, x_ld, NULL, 0, rows, n, accumulate);
}

/* ---- parametric activations ---- */

static void FN(mix)(void *out_, ptrdiff_t ld, const void *x_, ptrdiff_t x_ld, const void *f_, ptrdiff_t f_ld,
                    const void *a_, ptrdiff_t rows, ptrdiff_t n)
{
    const REAL *a = a_;
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *out = (REAL *)out_ + i * ld;
        const REAL *x = (const REAL *)x_ + i * x_ld, *f = (const REAL *)f_ + i * f_ld;
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES) {
            FN(vector) in = FN(load_up_to)(x + j, n - j), share = FN(load_up_to)(a + j, n - j);
            FN(store_up_to)(out + j, FN(vfma)(share, FN(load_up_to)(f + j, n - j) - in, in), n - j);
        }
    }
}

static void FN(mix_slope)(void *out_, ptrdiff_t out_ld, const void *d_, ptrdiff_t d_ld, const void *a_, ptrdiff_t rows,
                          ptrdiff_t n)
{
    /* out (rows, n) = d + a (out - d): as mix, with the delta for the input and out for its function */
    FN(mix)(out_, out_ld, d_, d_ld, out_, out_ld, a_, rows, n);
}

static void FN(mix_gradient)(void *grad, const void *d, ptrdiff_t d_ld, const void *x, ptrdiff_t x_ld, const void *f,
                             ptrdiff_t f_ld, ptrdiff_t rows, ptrdiff_t n, int accumulate)
{
    FN(all_column_sums)(grad, d, d_ld, x, x_ld, f, f_ld, rows, n, accumulate);
}

/* ---- levels of categorical columns ---- */

INLINE const int32_t *FN(codes_of)(const fm_codes *codes, ptrdiff_t i)
{
    const ptrdiff_t *index = codes->index, first = codes->first;
    return codes->codes + ROW_OF(i) * codes->n_codes;
}

/* The columns that may have levels from start to stop: from the returned one to before *last. */
INLINE ptrdiff_t FN(columns_between)(const ptrdiff_t *offsets, ptrdiff_t n_columns, ptrdiff_t start, ptrdiff_t stop,
                                     ptrdiff_t *last)
{
    ptrdiff_t first = 0;
    while (first + 1 < n_columns && offsets[first + 1] <= start) first++;
    for (*last = first; *last < n_columns && offsets[*last] < stop;) ++*last;
    return first;
}

/* z (count,) + the rows of w that the codes name */
INLINE void FN(add_levels)(REAL *z, const int32_t *code, const ptrdiff_t *offsets, ptrdiff_t n_columns, const REAL *w,
                           ptrdiff_t n, ptrdiff_t count, const int vectors)
{
    FN(vector) sum[SUM_VECTORS];
    UNROLLED for (ptrdiff_t v = 0; v < vectors; v++)
        sum[v] = FN(load_up_to)(z + v * VECTOR_LANES, count - v * VECTOR_LANES);
    for (ptrdiff_t c = 0; c < n_columns; c++) {
        if (code[c] < 0) continue;
        const REAL *level = w + (offsets[c] + code[c]) * n;
        UNROLLED for (ptrdiff_t v = 0; v < vectors; v++)
            sum[v] += FN(load_up_to)(level + v * VECTOR_LANES, count - v * VECTOR_LANES);
    }
    UNROLLED for (ptrdiff_t v = 0; v < vectors; v++)
        FN(store_up_to)(z + v * VECTOR_LANES, sum[v], count - v * VECTOR_LANES);
}

static void FN(onehot_add)(void *z_, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                           const void *w_, ptrdiff_t rows, ptrdiff_t n)
{
    const ptrdiff_t tile = SUM_VECTORS * VECTOR_LANES;
    const REAL *w = w_;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const int32_t *code = FN(codes_of)(codes, i);
        REAL *z = (REAL *)z_ + i * ld;
        ptrdiff_t j = 0;
        for (; j + tile <= n; j += tile) FN(add_levels)(z + j, code, offsets, n_columns, w + j, n, tile, SUM_VECTORS);
        for (; j < n; j += VECTOR_LANES) FN(add_levels)(z + j, code, offsets, n_columns, w + j, n, n - j, 1);
    }
}

/* out (n,) += in */
INLINE void FN(add_row)(REAL *restrict out, const REAL *restrict in, ptrdiff_t n)
{
    ptrdiff_t j = 0;
    for (; j + VECTOR_LANES <= n; j += VECTOR_LANES) *(FN(vector) *)(out + j) += *(const FN(vector) *)(in + j);
#if FM_VECTOR_BYTES > 16
    for (; j + LANES / 4 <= n; j += LANES / 4)
        for (ptrdiff_t l = j; l < j + LANES / 4; l++) out[l] += in[l];
#endif
    for (; j < n; j++) out[j] += in[j];
}

/* grad (stop - start, n) = [grad +] for each of those levels the sum of the deltas of the rows that have it; those of
 * column c begin at c * step of d (rows, ld) */
INLINE void FN(level_gradient)(REAL *grad, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                               const REAL *d, ptrdiff_t ld, ptrdiff_t step, ptrdiff_t n, ptrdiff_t rows,
                               ptrdiff_t start, ptrdiff_t stop, int accumulate)
{
    ptrdiff_t last, first = FN(columns_between)(offsets, n_columns, start, stop, &last);
    if (!accumulate) memset(grad, 0, sizeof(REAL) * (size_t)((stop - start) * n));
    for (ptrdiff_t i = 0; i < rows; i++, d += ld) {
        const int32_t *code = FN(codes_of)(codes, i);
        for (ptrdiff_t c = first; c < last; c++) {
            const ptrdiff_t level = offsets[c] + code[c];
            if (code[c] >= 0 && level >= start && level < stop)
                FN(add_row)(grad + (level - start) * n, d + c * step, n);
        }
    }
}

static void FN(onehot_gradient)(void *grad, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                                const void *d, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t start,
                                ptrdiff_t stop, int accumulate)
{
    FN(level_gradient)(grad, codes, offsets, n_columns, d, ld, 0, n, rows, start, stop, accumulate);
}

/* out (n,) = in */
INLINE void FN(copy_row)(REAL *restrict out, const REAL *restrict in, ptrdiff_t n)
{
    enum { PIECE = FM_ROW_BYTES / 4 / sizeof(REAL) };
    if (n < PIECE) {
        for (ptrdiff_t j = 0; j < n; j++) out[j] = in[j];
        return;
    }
    for (ptrdiff_t j = 0; j + PIECE <= n; j += PIECE) memcpy(out + j, in + j, PIECE * sizeof(REAL));
    memcpy(out + n - PIECE, in + n - PIECE, PIECE * sizeof(REAL));
}

static void FN(embed)(void *out_, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                      const void *table, ptrdiff_t width, ptrdiff_t rows)
{
    for (ptrdiff_t i = 0; i < rows; i++) {
        const int32_t *code = FN(codes_of)(codes, i);
        REAL *out = (REAL *)out_ + i * ld;
        for (ptrdiff_t c = 0; c < n_columns; c++, out += width)
            if (code[c] >= 0)
                FN(copy_row)(out, (const REAL *)table + (offsets[c] + code[c]) * width, width);
            else
                for (ptrdiff_t m = 0; m < width; m++) out[m] = 0;
    }
}

static void FN(embed_gradient)(void *grad, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                               const void *d, ptrdiff_t ld, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t start,
                               ptrdiff_t stop, int accumulate)
{
    FN(level_gradient)(grad, codes, offsets, n_columns, d, ld, width, width, rows, start, stop, accumulate);
}

static void FN(expand)(void *out_, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                       const void *on_, const void *off, ptrdiff_t rows)
{
    const REAL *on = on_;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const int32_t *code = FN(codes_of)(codes, i);
        REAL *out = (REAL *)out_ + i * ld;
        FN(copy_row)(out, off, offsets[n_columns]);
        for (ptrdiff_t c = 0; c < n_columns; c++) {
            const ptrdiff_t column = offsets[c] + code[c];
            if (code[c] >= 0 && column < offsets[c + 1]) out[column] = on[column];
        }
    }
}

/* ---- periodic embedding of numbers ----
 *
 * Angles are counted in turns, t = w x + b / (2 pi), whose whole part is subtracted without error:
 * cos(2 pi t) = sin(2 pi (1/4 - |r|)), r = t - round(t), and sin(2 pi u) = u P(u^2) for |u| <= 1/4. Of numbers so large
 * that t is an integer the cosine is 1.
 */
#define INVERSE_TWO_PI R(0.15915494309189535)
#define TWO_PI R(6.283185307179586)
#define PERIODIC_FREQUENCIES 64 /* frequencies whose cosines are in memory together */
#define PERIODIC_SUMS 64        /* outputs that are in memory, a row to a lane, until they are transposed */
#define PERIODIC_FEW 3          /* rows that take less time one by one than side by side */
#define PERIODIC_ROWS 32        /* rows whose cosines and slopes are in memory together */

/* sin(2 pi u), |u| <= 1/4, of which P has 1.5 units of the last place of float, 2 of double */
INLINE FN(vector) FN(sin_of_turns)(FN(vector) u)
{
    const FN(vector) s = u * u;
#if FM_DOUBLE
    FN(vector) p = FN(splat)(0.100896955016468112);
    p = FN(vfma)(p, s, FN(splat)(-0.717733792141345331));
    p = FN(vfma)(p, s, FN(splat)(3.8199280942271642));
    p = FN(vfma)(p, s, FN(splat)(-15.0946416761179001));
    p = FN(vfma)(p, s, FN(splat)(42.0586939254286823));
    p = FN(vfma)(p, s, FN(splat)(-76.7058597528249192));
    p = FN(vfma)(p, s, FN(splat)(81.6052492760736152));
    p = FN(vfma)(p, s, FN(splat)(-41.3417022403997569));
#else
    FN(vector) p = FN(splat)(39.7598270853191f);
    p = FN(vfma)(p, s, FN(splat)(-76.5811726442787f));
    p = FN(vfma)(p, s, FN(splat)(81.6024763689252f));
    p = FN(vfma)(p, s, FN(splat)(-41.3416806133465f));
#endif
    return u * FN(vfma)(p, s, FN(splat)(PICK(6.28318530717958648, 6.28318528015441f)));
}

INLINE FN(vector) FN(cos_of_turns)(FN(vector) t)
{
    return FN(sin_of_turns)(FN(splat)(R(0.25)) - FN(vabs)(t - FN(nearest)(t)));
}

/* cos(2 pi t), and in *slope its derivative by the angle, -sin(2 pi t) */
INLINE FN(vector) FN(cos_and_slope)(FN(vector) t, FN(vector) *slope)
{
    const FN(vector) r = FN(nearest)(t) - t, u = FN(splat)(R(0.25)) - FN(vabs)(r);
    *slope = FN(sin_of_turns)(FN(with_sign)(FN(splat)(R(0.25)) - FN(vabs)(u), r));
    return FN(sin_of_turns)(u);
}

/* cosines (count, LANES), a row to a lane, of the frequencies w with the phases b */
static void FN(cosines)(REAL *cosines, const REAL *x, const REAL *w, const REAL *b, ptrdiff_t count)
{
    REAL phase[PERIODIC_FREQUENCIES];
    FN(vector) in[GROUP_VECTORS];
    for (ptrdiff_t f = 0; f < count; f += VECTOR_LANES)
        *(FN(vector) *)(phase + f) = FN(load_up_to)(b + f, count - f) * FN(splat)(INVERSE_TWO_PI);
    FOR_GROUP in[v] = *(const FN(vector) *)(x + v * VECTOR_LANES);
    for (ptrdiff_t f = 0; f < count; f++) {
        const FN(vector) frequency = FN(splat)(w[f]), shift = FN(splat)(phase[f]);
        FOR_GROUP
            *(FN(vector) *)(cosines + f * LANES + v * VECTOR_LANES) =
                FN(cos_of_turns)(FN(vfma)(frequency, in[v], shift));
    }
}

/* sums (outputs, LANES) += V cosines for some rows of V, k elements apart */
INLINE void FN(add_cosines)(REAL *sums, const REAL *cosines, const REAL *weights, ptrdiff_t k, ptrdiff_t count,
                            const int outputs)
{
    FN(vector) sum[4][GROUP_VECTORS];
    UNROLLED for (int m = 0; m < outputs; m++)
        FOR_GROUP sum[m][v] = *(const FN(vector) *)(sums + m * LANES + v * VECTOR_LANES);
    for (ptrdiff_t f = 0; f < count; f++)
        FOR_GROUP {
            const FN(vector) cosine = *(const FN(vector) *)(cosines + f * LANES + v * VECTOR_LANES);
            UNROLLED for (int m = 0; m < outputs; m++)
                sum[m][v] = FN(vfma)(FN(splat)(weights[m * k + f]), cosine, sum[m][v]);
        }
    UNROLLED for (int m = 0; m < outputs; m++)
        FOR_GROUP *(FN(vector) *)(sums + m * LANES + v * VECTOR_LANES) = sum[m][v];
}

/* sums (count, LANES) of a column's outputs from the first-th on, a row to a lane */
static void FN(periodic_column)(REAL *sums, const REAL *x, const REAL *p, ptrdiff_t k, ptrdiff_t width, ptrdiff_t first,
                                ptrdiff_t count)
{
    _Alignas(FM_ROW_BYTES) REAL cosines[PERIODIC_FREQUENCIES * LANES];
    const REAL *weights = p + (2 + first) * k, *bias = p + (2 + width) * k + first;
    for (ptrdiff_t m = 0; m < count; m++)
        FOR_GROUP *(FN(vector) *)(sums + m * LANES + v * VECTOR_LANES) = FN(splat)(bias[m]);
    for (ptrdiff_t f = 0; f < k; f += PERIODIC_FREQUENCIES) {
        const ptrdiff_t some = (k - f < PERIODIC_FREQUENCIES) ? k - f : PERIODIC_FREQUENCIES;
        FN(cosines)(cosines, x, p + f, p + k + f, some);
        for (ptrdiff_t m = 0; m < count; m += 4) {
            REAL *out = sums + m * LANES;
            const REAL *in = weights + m * k + f;
            switch (count - m) {
            case 1: FN(add_cosines)(out, cosines, in, k, some, 1); break;
            case 2: FN(add_cosines)(out, cosines, in, k, some, 2); break;
            case 3: FN(add_cosines)(out, cosines, in, k, some, 3); break;
            default: FN(add_cosines)(out, cosines, in, k, some, 4);
            }
        }
    }
}

/* out (n_columns * width,) of a single row, a frequency to a lane: the same additions */
static void FN(periodic_row)(REAL *out, const REAL *x, const REAL *p, ptrdiff_t n_columns, ptrdiff_t k, ptrdiff_t width)
{
    REAL cosines[PERIODIC_FREQUENCIES];
    for (ptrdiff_t j = 0; j < n_columns; j++, out += width, p += (2 + width) * k + width) {
        const REAL *weights = p + 2 * k, *bias = weights + width * k;
        for (ptrdiff_t m = 0; m < width; m++) out[m] = bias[m];
        for (ptrdiff_t f = 0; f < k; f += PERIODIC_FREQUENCIES) {
            const ptrdiff_t some = (k - f < PERIODIC_FREQUENCIES) ? k - f : PERIODIC_FREQUENCIES;
            for (ptrdiff_t l = 0; l < some; l += VECTOR_LANES) {
                FN(vector) phase = FN(load_up_to)(p + k + f + l, some - l) * FN(splat)(INVERSE_TWO_PI);
                FN(vector) t = FN(vfma)(FN(load_up_to)(p + f + l, some - l), FN(splat)(x[j]), phase);
                *(FN(vector) *)(cosines + l) = FN(cos_of_turns)(t);
            }
            for (ptrdiff_t m = 0; m < width; m++) {
                REAL sum = out[m];
                for (ptrdiff_t l = 0; l < some; l++) sum = FN(fma)(weights[m * k + f + l], cosines[l], sum);
                out[m] = sum;
            }
        }
    }
}

static void FN(periodic)(void *out_, ptrdiff_t out_ld, const void *x_, ptrdiff_t x_ld, const void *p_,
                         ptrdiff_t n_columns, ptrdiff_t k, ptrdiff_t width, ptrdiff_t rows)
{
    _Alignas(FM_ROW_BYTES) REAL columns[LANES * LANES] = {0}; /* of x, a row to a lane */
    _Alignas(FM_ROW_BYTES) REAL sums[PERIODIC_SUMS * LANES];
    const ptrdiff_t size = (2 + width) * k + width;
    for (ptrdiff_t i = 0; i < rows; i += LANES) {
        const REAL *x = (const REAL *)x_ + i * x_ld;
        REAL *out = (REAL *)out_ + i * out_ld; /* of the first output that is in sums */
        const ptrdiff_t height = (rows - i < LANES) ? rows - i : LANES;
        ptrdiff_t filled = 0;
        if (height <= PERIODIC_FEW) {
            for (ptrdiff_t r = 0; r < height; r++)
                FN(periodic_row)(out + r * out_ld, x + r * x_ld, p_, n_columns, k, width);
            return;
        }
        for (ptrdiff_t j = 0; j < n_columns; j++) {
            const ptrdiff_t some = (n_columns - j < LANES) ? n_columns - j : LANES;
            if (j % LANES == 0) FN(transpose)(columns, LANES, x + j, x_ld, height, some);
            for (ptrdiff_t m = 0; m < width; m += PERIODIC_SUMS) {
                const ptrdiff_t count = (width - m < PERIODIC_SUMS) ? width - m : PERIODIC_SUMS;
                if (filled + count > PERIODIC_SUMS) {
                    FN(transpose)(out, out_ld, sums, LANES, filled, height);
                    out += filled;
                    filled = 0;
                }
                FN(periodic_column)(sums + filled * LANES, columns + j % LANES * LANES,
                                    (const REAL *)p_ + j * size, k, width, m, count);
                filled += count;
            }
        }
        FN(transpose)(out, out_ld, sums, LANES, filled, height);
    }
}

/* Some rows i of one column and a group of its frequencies, whose gradients are
 *     dV_m += d_im cos_i,   db += e_i,   dw += e_i 2 pi x_i,   e_i = cos'_i * the sum over m of d_im V_m
 * with cosines, slopes (cos') and deltas (the sum as far as it has come) of shape (rows, LANES). */
typedef struct {
    const REAL *x, *d, *weights;     /* x (rows,), x_ld apart; d (rows, width), d_ld apart; V (width, k) */
    REAL *grad_w, *grad_b, *grad_weights;
    ptrdiff_t x_ld, d_ld, k, rows, count; /* count: the frequencies of the group */
    _Alignas(FM_ROW_BYTES) REAL cosines[PERIODIC_ROWS * LANES], slopes[PERIODIC_ROWS * LANES],
        deltas[PERIODIC_ROWS * LANES];
} FN(periodic_block);

#define GROUP_AT(p) ((p) + v * VECTOR_LANES), (block->count - v * VECTOR_LANES)
/* for outputs m from the first-th on; last: no others follow */
INLINE void FN(add_periodic_gradient)(FN(periodic_block) *block, ptrdiff_t first, const int outputs, int last)
{
    FN(vector) grad[4][GROUP_VECTORS], weight[4][GROUP_VECTORS], grad_w[GROUP_VECTORS], grad_b[GROUP_VECTORS];
    FOR_GROUP {
        grad_w[v] = FN(load_up_to)(GROUP_AT(block->grad_w));
        grad_b[v] = FN(load_up_to)(GROUP_AT(block->grad_b));
        UNROLLED for (int m = 0; m < outputs; m++) {
            grad[m][v] = FN(load_up_to)(GROUP_AT(block->grad_weights + (first + m) * block->k));
            weight[m][v] = FN(load_up_to)(GROUP_AT(block->weights + (first + m) * block->k));
        }
    }
    for (ptrdiff_t i = 0; i < block->rows; i++) {
        const REAL *d = block->d + i * block->d_ld + first;
        const FN(vector) turns = FN(splat)(TWO_PI * block->x[i * block->x_ld]);
        FOR_GROUP {
            const ptrdiff_t at = i * LANES + v * VECTOR_LANES;
            const FN(vector) cosine = *(const FN(vector) *)(block->cosines + at);
            FN(vector) delta = first ? *(const FN(vector) *)(block->deltas + at) : FN(splat)(0);
            UNROLLED for (int m = 0; m < outputs; m++) {
                delta = FN(vfma)(FN(splat)(d[m]), weight[m][v], delta);
                grad[m][v] = FN(vfma)(FN(splat)(d[m]), cosine, grad[m][v]);
            }
            if (last) {
                delta *= *(const FN(vector) *)(block->slopes + at);
                grad_b[v] += delta;
                grad_w[v] = FN(vfma)(delta, turns, grad_w[v]);
            } else
                *(FN(vector) *)(block->deltas + at) = delta;
        }
    }
    FOR_GROUP {
        FN(store_up_to)(block->grad_w + v * VECTOR_LANES, grad_w[v], block->count - v * VECTOR_LANES);
        FN(store_up_to)(block->grad_b + v * VECTOR_LANES, grad_b[v], block->count - v * VECTOR_LANES);
        UNROLLED for (int m = 0; m < outputs; m++)
            FN(store_up_to)(block->grad_weights + (first + m) * block->k + v * VECTOR_LANES, grad[m][v],
                            block->count - v * VECTOR_LANES);
    }
}

/* the gradient of w, b and V of one column for frequencies w, at most LANES of them, and rows, at most PERIODIC_ROWS */
static void FN(periodic_block_gradient)(FN(periodic_block) *block, const REAL *w, const REAL *b, ptrdiff_t width)
{
    FN(vector) frequency[GROUP_VECTORS], phase[GROUP_VECTORS];
    FOR_GROUP frequency[v] = FN(load_up_to)(GROUP_AT(w));
    FOR_GROUP phase[v] = FN(load_up_to)(GROUP_AT(b)) * FN(splat)(INVERSE_TWO_PI);
    for (ptrdiff_t i = 0; i < block->rows; i++) {
        const FN(vector) in = FN(splat)(block->x[i * block->x_ld]);
        FOR_GROUP {
            FN(vector) slope, t = FN(vfma)(frequency[v], in, phase[v]);
            *(FN(vector) *)(block->cosines + i * LANES + v * VECTOR_LANES) = FN(cos_and_slope)(t, &slope);
            *(FN(vector) *)(block->slopes + i * LANES + v * VECTOR_LANES) = slope;
        }
    }
    for (ptrdiff_t m = 0; m < width; m += 4)
        switch (width - m) {
        case 1: FN(add_periodic_gradient)(block, m, 1, 1); break;
        case 2: FN(add_periodic_gradient)(block, m, 2, 1); break;
        case 3: FN(add_periodic_gradient)(block, m, 3, 1); break;
        default: FN(add_periodic_gradient)(block, m, 4, width - m == 4);
        }
}

/* the gradient of the biases c: the sums of the columns of d, found side by side */
static void FN(periodic_bias_gradient)(REAL *grad, ptrdiff_t size, const REAL *d, ptrdiff_t ld, ptrdiff_t width,
                                       ptrdiff_t rows, ptrdiff_t start, ptrdiff_t stop)
{
    enum { SOME = 4 * LANES };
    REAL sums[SOME];
    for (ptrdiff_t q = start * width; q < stop * width; q += SOME) {
        const ptrdiff_t count = (stop * width - q < SOME) ? stop * width - q : SOME;
#define BIAS_GRADIENT(l) grad[((q + (l)) / width - start + 1) * size - width + (q + (l)) % width]
        for (ptrdiff_t l = 0; l < count; l++) sums[l] = BIAS_GRADIENT(l);
        for (ptrdiff_t i = 0; i < rows; i++) FN(add_row)(sums, d + i * ld + q, count);
        for (ptrdiff_t l = 0; l < count; l++) BIAS_GRADIENT(l) = sums[l];
    }
}

static void FN(periodic_gradient)(void *grad_, const void *x_, ptrdiff_t x_ld, const void *d_, ptrdiff_t ld,
                                  const void *p_, ptrdiff_t k, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t start,
                                  ptrdiff_t stop, int accumulate)
{
    const ptrdiff_t size = (2 + width) * k + width;
    FN(periodic_block) block;
    block.x_ld = x_ld, block.d_ld = ld, block.k = k;
    if (!accumulate) memset(grad_, 0, sizeof(REAL) * (size_t)((stop - start) * size));
    FN(periodic_bias_gradient)(grad_, size, d_, ld, width, rows, start, stop);
    for (ptrdiff_t j = start; j < stop; j++) {
        const REAL *p = (const REAL *)p_ + j * size;
        REAL *grad = (REAL *)grad_ + (j - start) * size;
        for (ptrdiff_t i = 0; i < rows; i += PERIODIC_ROWS)
            for (ptrdiff_t f = 0; f < k; f += LANES) {
                block.rows = (rows - i < PERIODIC_ROWS) ? rows - i : PERIODIC_ROWS;
                block.count = (k - f < LANES) ? k - f : LANES;
                block.x = (const REAL *)x_ + i * x_ld + j;
                block.d = (const REAL *)d_ + i * ld + j * width;
                block.weights = p + 2 * k + f;
                block.grad_w = grad + f, block.grad_b = grad + k + f, block.grad_weights = grad + 2 * k + f;
                FN(periodic_block_gradient)(&block, p + f, p + k + f, width);
            }
    }
}

static void FN(periodic_input_gradient)(void *dx_, ptrdiff_t dx_ld, const void *x_, ptrdiff_t x_ld, const void *d_,
                                        ptrdiff_t ld, const void *p_, ptrdiff_t n_columns, ptrdiff_t k,
                                        ptrdiff_t width, ptrdiff_t rows)
{
    _Alignas(FM_ROW_BYTES) REAL sum[LANES];
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < n_columns; j++) {
            const REAL *p = (const REAL *)p_ + j * ((2 + width) * k + width);
            const REAL *d = (const REAL *)d_ + i * ld + j * width;
            const FN(vector) x = FN(splat)(((const REAL *)x_)[i * x_ld + j]);
            FOR_LANES sum[l] = 0;
            for (ptrdiff_t f = 0; f < k; f += LANES)
                FOR_GROUP {
                    const ptrdiff_t at = f + v * VECTOR_LANES, n = k - at;
                    const FN(vector) w = FN(load_up_to)(p + at, n);
                    const FN(vector) phase = FN(load_up_to)(p + k + at, n) * FN(splat)(INVERSE_TWO_PI);
                    FN(vector) slope, delta = FN(splat)(0);
                    FN(cos_and_slope)(FN(vfma)(w, x, phase), &slope);
                    for (ptrdiff_t m = 0; m < width; m++)
                        delta = FN(vfma)(FN(splat)(d[m]), FN(load_up_to)(p + (2 + m) * k + at, n), delta);
                    FN(vector) *lanes = (FN(vector) *)(sum + v * VECTOR_LANES);
                    *lanes = FN(vfma)(delta * slope, w, *lanes);
                }
            REAL *dx = (REAL *)dx_ + i * dx_ld + j;
            *dx = FN(fma)(FN(fold_sum)(sum), TWO_PI, *dx);
        }
}

/* ---- piecewise-linear embedding of numbers ----
 *
 * PLE of a number in bin s, from e_s to e_(s+1), is 1 in the bins before, (x - e_s) / (e_(s+1) - e_s) in its own and 0
 * in those behind; numbers outside all bins are in the first or the last one, where nothing is clipped. So the bins
 * before contribute the sum of their rows of V, found once for a column, and the gradient of a row of V is that of the
 * rows of the data in its bin and of all that are in later bins.
 */
#define PIECEWISE_ROWS 64 /* rows whose bins are in memory together */
#define PIECEWISE_BINS 64 /* bins whose sums are in memory together */

/* the number of bins of a column: of its edges, at most bins + 1, those behind the last are infinite */
INLINE ptrdiff_t FN(n_bins)(const REAL *edges, ptrdiff_t bins)
{
    while (bins > 1 && edges[bins] == (REAL)INFINITY) bins--;
    return bins;
}

/* The bin of x from `from` to before `to`, -1 if it is in none of them; NaN is in bin 0. */
INLINE ptrdiff_t FN(bin_of)(REAL x, const REAL *edges, ptrdiff_t bins, ptrdiff_t from, ptrdiff_t to)
{
    if ((from > 0 && !(x >= edges[from])) || (to < bins && x >= edges[to])) return -1;
    for (ptrdiff_t count = to - from - 1; count > 0;) { /* inner edges, to be halved */
        const ptrdiff_t half = (count + 1) / 2;
        from = (x >= edges[from + half]) ? from + half : from;
        count -= half;
    }
    return from;
}

INLINE REAL FN(share_of_bin)(REAL x, const REAL *edges, ptrdiff_t s)
{
    return (x - edges[s]) / (edges[s + 1] - edges[s]);
}

/* The bins of at most PIECEWISE_ROWS rows, and the shares of these: the inner edges that are not above x are counted, a
 * row to a lane. */
static void FN(bins_of)(PICK(int64_t, int32_t) *found, REAL *share, const REAL *x, ptrdiff_t x_ld, const REAL *edges,
                        ptrdiff_t bins, ptrdiff_t rows)
{
    if (rows < VECTOR_LANES / 2) {
        for (ptrdiff_t i = 0; i < rows; i++) {
            found[i] = FN(bin_of)(x[i * x_ld], edges, bins, 0, bins);
            share[i] = FN(share_of_bin)(x[i * x_ld], edges, found[i]);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i += VECTOR_LANES) {
        REAL in[VECTOR_LANES], low[VECTOR_LANES], high[VECTOR_LANES];
        FN(lanes) below = {0};
        for (ptrdiff_t l = 0; l < VECTOR_LANES; l++) in[l] = (i + l < rows) ? x[(i + l) * x_ld] : (REAL)0;
        const FN(vector) own = *(const FN(vector) *)in;
        for (ptrdiff_t t = 1; t < bins; t++) below -= FN(at_least)(own, FN(splat)(edges[t]));
        memcpy(found + i, &below, sizeof below);
        for (ptrdiff_t l = 0; l < VECTOR_LANES; l++) {
            low[l] = edges[found[i + l]];
            high[l] = edges[found[i + l] + 1];
        }
        *(FN(vector) *)(share + i) =
            (own - *(const FN(vector) *)low) / (*(const FN(vector) *)high - *(const FN(vector) *)low);
    }
}

/* Some outputs of one column, at most a group of them, for the rows whose number is in the bins from `from` to before
 * `to`; before (to - from, before_ld) has the sums of V over the bins before each. */
typedef struct {
    const REAL *x, *edges, *w, *b, *weights, *before;
    REAL *out;
    ptrdiff_t x_ld, out_ld, width, before_ld, bins, count;
} FN(piecewise_part);

static void FN(piecewise_rows)(const FN(piecewise_part) *part, ptrdiff_t from, ptrdiff_t to, ptrdiff_t rows)
{
    PICK(int64_t, int32_t) found[PIECEWISE_ROWS];
    REAL shares[PIECEWISE_ROWS];
    const ptrdiff_t count = part->count;
    FN(vector) slope[GROUP_VECTORS], bias[GROUP_VECTORS];
    FOR_GROUP slope[v] = FN(load_up_to)(part->w + v * VECTOR_LANES, count - v * VECTOR_LANES);
    FOR_GROUP bias[v] = FN(load_up_to)(part->b + v * VECTOR_LANES, count - v * VECTOR_LANES);
    for (ptrdiff_t first = 0; first < rows; first += PIECEWISE_ROWS) {
        const REAL *x = part->x + first * part->x_ld;
        REAL *out = part->out + first * part->out_ld;
        const ptrdiff_t some = (rows - first < PIECEWISE_ROWS) ? rows - first : PIECEWISE_ROWS;
        FN(bins_of)(found, shares, x, part->x_ld, part->edges, part->bins, some);
        for (ptrdiff_t i = 0; i < some; i++, x += part->x_ld, out += part->out_ld) {
            const ptrdiff_t s = found[i];
            if (s < from || s >= to) continue;
            const REAL *before = part->before + (s - from) * part->before_ld, *weights = part->weights + s * part->width;
            const FN(vector) in = FN(splat)(*x), share = FN(splat)(shares[i]);
            FOR_GROUP {
                const ptrdiff_t at = v * VECTOR_LANES, n = count - at;
                FN(vector) line = FN(vfma)(in, slope[v], bias[v]) + FN(load_up_to)(before + at, n);
                FN(store_up_to)(out + at, FN(vfma)(share, FN(load_up_to)(weights + at, n), line), n);
            }
        }
    }
}

static void FN(piecewise)(void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *edges, const void *p,
                          const void *sums, ptrdiff_t n_columns, ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows)
{
    _Alignas(FM_ROW_BYTES) REAL before[PIECEWISE_BINS * LANES];
    for (ptrdiff_t j = 0; j < n_columns; j++)
        for (ptrdiff_t m = 0; m < width; m += LANES) {
            const REAL *w = (const REAL *)p + j * (2 + bins) * width + m, *own_edges = (const REAL *)edges + j * (bins + 1);
            const ptrdiff_t own = FN(n_bins)(own_edges, bins);
            FN(piecewise_part) part = {
                .x = (const REAL *)x + j, .edges = own_edges, .w = w, .b = w + width, .weights = w + 2 * width,
                .out = (REAL *)out + j * width + m, .x_ld = x_ld, .out_ld = out_ld, .width = width, .bins = own,
                .count = (width - m < LANES) ? width - m : LANES};
            if (sums) {
                part.before = (const REAL *)sums + j * bins * width + m;
                part.before_ld = width;
                FN(piecewise_rows)(&part, 0, own, rows);
                continue;
            }
            _Alignas(FM_ROW_BYTES) REAL sum[LANES] = {0};
            part.before = before;
            part.before_ld = LANES;
            for (ptrdiff_t from = 0; from < own; from += PIECEWISE_BINS) {
                const ptrdiff_t to = (own - from < PIECEWISE_BINS) ? own : from + PIECEWISE_BINS;
                for (ptrdiff_t t = from; t < to; t++) {
                    memcpy(before + (t - from) * LANES, sum, sizeof sum);
                    FN(add_row)(sum, part.weights + t * width, part.count);
                }
                FN(piecewise_rows)(&part, from, to, rows);
            }
        }
}

static void FN(piecewise_sums)(void *sums, const void *p, ptrdiff_t n_columns, ptrdiff_t bins, ptrdiff_t width)
{
    for (ptrdiff_t j = 0; j < n_columns; j++) {
        REAL *sum = (REAL *)sums + j * bins * width;
        const REAL *weights = (const REAL *)p + (j * (2 + bins) + 2) * width;
        memset(sum, 0, sizeof(REAL) * (size_t)width);
        for (ptrdiff_t t = 1; t < bins; t++, sum += width, weights += width) {
            memcpy(sum + width, sum, sizeof(REAL) * (size_t)width);
            FN(add_row)(sum + width, weights, width);
        }
    }
}

/* out (n,) += a in */
INLINE void FN(add_multiple)(REAL *out, REAL a, const REAL *in, ptrdiff_t n)
{
    for (ptrdiff_t l = 0; l < n; l += VECTOR_LANES)
        FN(store_up_to)(out + l, FN(vfma)(FN(splat)(a), FN(load_up_to)(in + l, n - l), FN(load_up_to)(out + l, n - l)),
                        n - l);
}

/* grad_w (count,) += sum over rows of x d, grad_b (count,) += sum of d, for at most a group of outputs */
INLINE void FN(line_gradient)(REAL *grad_w, REAL *grad_b, const REAL *x, ptrdiff_t x_ld, const REAL *d, ptrdiff_t ld,
                              ptrdiff_t count, ptrdiff_t rows)
{
    FN(vector) w[GROUP_VECTORS], b[GROUP_VECTORS];
    FOR_GROUP w[v] = FN(load_up_to)(grad_w + v * VECTOR_LANES, count - v * VECTOR_LANES);
    FOR_GROUP b[v] = FN(load_up_to)(grad_b + v * VECTOR_LANES, count - v * VECTOR_LANES);
    for (ptrdiff_t i = 0; i < rows; i++)
        FOR_GROUP {
            const FN(vector) delta = FN(load_up_to)(d + i * ld + v * VECTOR_LANES, count - v * VECTOR_LANES);
            w[v] = FN(vfma)(FN(splat)(x[i * x_ld]), delta, w[v]);
            b[v] += delta;
        }
    FOR_GROUP FN(store_up_to)(grad_w + v * VECTOR_LANES, w[v], count - v * VECTOR_LANES);
    FOR_GROUP FN(store_up_to)(grad_b + v * VECTOR_LANES, b[v], count - v * VECTOR_LANES);
}

static void FN(piecewise_gradient)(void *grad_, const void *x_, ptrdiff_t x_ld, const void *d_, ptrdiff_t ld,
                                   const void *edges_, ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows,
                                   ptrdiff_t start, ptrdiff_t stop, int accumulate)
{
    _Alignas(FM_ROW_BYTES) REAL inside[PIECEWISE_BINS * LANES]; /* the sums of the deltas in each bin */
    if (!accumulate) memset(grad_, 0, sizeof(REAL) * (size_t)((stop - start) * (2 + bins) * width));
    for (ptrdiff_t j = start; j < stop; j++)
        for (ptrdiff_t m = 0; m < width; m += LANES) {
            const REAL *x = (const REAL *)x_ + j, *edges = (const REAL *)edges_ + j * (bins + 1);
            const REAL *d = (const REAL *)d_ + j * width + m;
            REAL *grad = (REAL *)grad_ + (j - start) * (2 + bins) * width + m, *weights = grad + 2 * width;
            const ptrdiff_t count = (width - m < LANES) ? width - m : LANES, own = FN(n_bins)(edges, bins);
            REAL behind[LANES] = {0}; /* the sums of the deltas in all later bins */
            FN(line_gradient)(grad, grad + width, x, x_ld, d, ld, count, rows);
            for (ptrdiff_t from = (own - 1) / PIECEWISE_BINS * PIECEWISE_BINS; from >= 0; from -= PIECEWISE_BINS) {
                const ptrdiff_t to = (own - from < PIECEWISE_BINS) ? own : from + PIECEWISE_BINS;
                memset(inside, 0, sizeof(REAL) * (size_t)((to - from) * LANES));
                for (ptrdiff_t i = 0; i < rows; i++) {
                    const ptrdiff_t s = FN(bin_of)(x[i * x_ld], edges, own, from, to);
                    if (s < 0) continue;
                    FN(add_multiple)(weights + s * width, FN(share_of_bin)(x[i * x_ld], edges, s), d + i * ld, count);
                    FN(add_row)(inside + (s - from) * LANES, d + i * ld, count);
                }
                for (ptrdiff_t t = to - 1; t >= from; t--) {
                    FN(add_row)(weights + t * width, behind, count);
                    FN(add_row)(behind, inside + (t - from) * LANES, count);
                }
            }
        }
}

static void FN(piecewise_input_gradient)(void *dx_, ptrdiff_t dx_ld, const void *x_, ptrdiff_t x_ld, const void *d_,
                                         ptrdiff_t ld, const void *edges_, const void *p_, ptrdiff_t n_columns,
                                         ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows)
{
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < n_columns; j++) {
            const REAL *edges = (const REAL *)edges_ + j * (bins + 1), *w = (const REAL *)p_ + j * (2 + bins) * width;
            const REAL *d = (const REAL *)d_ + i * ld + j * width;
            const ptrdiff_t own = FN(n_bins)(edges, bins);
            const ptrdiff_t s = FN(bin_of)(((const REAL *)x_)[i * x_ld + j], edges, own, 0, own);
            REAL line = 0, bin = 0;
            for (ptrdiff_t m = 0; m < width; m++) {
                line = FN(fma)(d[m], w[m], line);
                bin = FN(fma)(d[m], w[(2 + s) * width + m], bin);
            }
            ((REAL *)dx_)[i * dx_ld + j] += line + bin / (edges[s + 1] - edges[s]);
        }
}
