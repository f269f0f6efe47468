/* What layers that normalise rows or add them do, for REAL.
 *
 * Layer normalisation, Ba, Kiros & Hinton (2016), with PyTorch's formulas: of each row x (channels, positions), n numbers,
 *
 *   u = (x - mean) r    mean = sum x / n    r = 1 / sqrt(sum (x - mean)^2 / n + epsilon)    z = s u + b
 *   dx = r (g - sum g / n - u sum (g u) / n)    g = s dz
 *
 * s and b (channels,). Sums run over LANES virtual lanes. Rows begin anywhere, and nothing outside them is read or
 * written.
 */

/* result = the sum over a row of `count` elements. `term` is sum[v] with the vector of elements from j on added to it, of
 * which ROW_PART has those that there are, and 0 behind them. */
#define SUM_OF_ROW(result, count, term)                                                                        \
    {                                                                                                          \
        FN(vector) sum[GROUP_VECTORS];                                                                         \
        REAL lanes[LANES];                                                                                     \
        FOR_GROUP sum[v] = FN(splat)(0);                                                                       \
        for (ptrdiff_t l = 0; l < (count); l += LANES)                                                         \
            FOR_GROUP {                                                                                        \
                const ptrdiff_t j = l + v * VECTOR_LANES, left = (count) - j;                                  \
                sum[v] = (term);                                                                               \
            }                                                                                                  \
        memcpy(lanes, sum, sizeof lanes);                                                                      \
        result = FN(fold_sum)(lanes);                                                                          \
    }
#define ROW_PART(p) FN(load_up_to)((p) + j, left)

/* z = s u + b where `normal` is u, or of backward g = s d where it is d and b NULL */
INLINE void FN(by_channels)(REAL *z, const REAL *normal, const REAL *s, const REAL *b, ptrdiff_t channels,
                            ptrdiff_t positions)
{
    if (positions == 1) {
        for (ptrdiff_t j = 0, left = channels; j < channels; j += VECTOR_LANES, left -= VECTOR_LANES) {
            FN(vector) shift = FN(splat)(0);
            if (b) shift = ROW_PART(b);
            FN(store_up_to)(z + j, FN(vfma)(ROW_PART(normal), ROW_PART(s), shift), left);
        }
        return;
    }
    for (ptrdiff_t c = 0; c < channels; c++, z += positions, normal += positions) {
        const FN(vector) scale = FN(splat)(s[c]), shift = FN(splat)(b ? b[c] : 0);
        for (ptrdiff_t j = 0, left = positions; j < positions; j += VECTOR_LANES, left -= VECTOR_LANES)
            FN(store_up_to)(z + j, FN(vfma)(ROW_PART(normal), scale, shift), left);
    }
}

static void FN(norm)(void *z_, void *own_, const void *x_, const void *s, const void *b, ptrdiff_t channels,
                     ptrdiff_t positions, double epsilon)
{
    const ptrdiff_t n = channels * positions;
    REAL *z = z_, *normal = own_ ? own_ : z_;
    const REAL *x = x_;
    REAL mean, square, inverse;
    SUM_OF_ROW(mean, n, sum[v] + ROW_PART(x))
    mean /= (REAL)n;
    for (ptrdiff_t j = 0, left = n; j < n; j += VECTOR_LANES, left -= VECTOR_LANES)
        FN(store_up_to)(normal + j, ROW_PART(x) - FN(splat)(mean), left);
    SUM_OF_ROW(square, n, FN(vfma)(ROW_PART(normal), ROW_PART(normal), sum[v]))
    inverse = R(1.0) / FN(sqrt)(square / (REAL)n + (REAL)epsilon);
    for (ptrdiff_t j = 0, left = n; j < n; j += VECTOR_LANES, left -= VECTOR_LANES)
        FN(store_up_to)(normal + j, ROW_PART(normal) * FN(splat)(inverse), left);
    if (own_) normal[n] = inverse;
    FN(by_channels)(z, normal, s, b, channels, positions);
}

static void FN(norm_back)(void *out_, const void *own_, const void *d, const void *s, ptrdiff_t channels,
                          ptrdiff_t positions)
{
    const ptrdiff_t n = channels * positions;
    REAL *out = out_;
    const REAL *normal = own_;
    REAL mean, along;
    FN(by_channels)(out, d, s, NULL, channels, positions);
    SUM_OF_ROW(mean, n, sum[v] + ROW_PART(out))
    SUM_OF_ROW(along, n, FN(vfma)(ROW_PART(out), ROW_PART(normal), sum[v]))
    mean /= (REAL)n;
    along /= (REAL)n;
    for (ptrdiff_t j = 0, left = n; j < n; j += VECTOR_LANES, left -= VECTOR_LANES) {
        const FN(vector) rest = FN(vfma)(ROW_PART(normal), FN(splat)(-along), ROW_PART(out) - FN(splat)(mean));
        FN(store_up_to)(out + j, rest * FN(splat)(normal[n]), left);
    }
}

static void FN(plane_products)(void *sums_, const void *d_, const void *x_, ptrdiff_t channels, ptrdiff_t positions)
{
    REAL *sums = sums_;
    const REAL *d = d_, *x = x_;
    for (ptrdiff_t c = 0; c < channels; c++, d += positions, x += positions) {
        REAL product;
        SUM_OF_ROW(product, positions, FN(vfma)(ROW_PART(d), ROW_PART(x), sum[v]))
        sums[c] += product;
    }
}

static void FN(add_rows)(void *out_, ptrdiff_t out_ld, const void *x_, ptrdiff_t x_ld, const void *y_, ptrdiff_t y_ld,
                         ptrdiff_t rows, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *out = (REAL *)out_ + i * out_ld;
        const REAL *x = (const REAL *)x_ + i * x_ld, *y = (const REAL *)y_ + i * y_ld;
        for (ptrdiff_t j = 0, left = n; j < n; j += VECTOR_LANES, left -= VECTOR_LANES)
            FN(store_up_to)(out + j, ROW_PART(x) + ROW_PART(y), left);
    }
}
#undef SUM_OF_ROW
#undef ROW_PART
