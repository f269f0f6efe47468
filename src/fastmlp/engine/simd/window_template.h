/* What windows that slide over planes do, for REAL: convolution and pooling.
 *
 * A row is (channels, height, width) one after another, and so are its outputs. Vectors lie along the width, whatever
 * the number of channels. Convolution is a product with the unfolded rows:
 *
 *   Z (channels, positions) = W^T U + b    U (k, positions): what the window sees, k = (channel, i, j)
 *
 * Outside the input is 0. Rows begin anywhere, and nothing outside them is read or written.
 */

/* Of output columns first..stop - 1 of a row of outputs those whose element j of the window lies within the input's
 * width: from the returned one to before *stop. */
INLINE ptrdiff_t FN(columns_inside)(const fm_window *w, ptrdiff_t j, ptrdiff_t first, ptrdiff_t *stop)
{
    const ptrdiff_t stride = w->stride[1], shift = w->before[1] - j * w->dilation[1]; /* input column = o stride - shift */
    const ptrdiff_t least = shift > 0 ? (shift + stride - 1) / stride : 0;
    const ptrdiff_t reach = w->in[1] - 1 + shift, end = reach < 0 ? 0 : reach / stride + 1;
    if (end < *stop) *stop = end;
    if (first < least) first = least;
    if (*stop < first) *stop = first;
    return first;
}

INLINE void FN(copy_run)(REAL *out, const REAL *in, ptrdiff_t stride, ptrdiff_t count)
{
    if (stride == 1)
        for (ptrdiff_t l = 0; l < count; l += VECTOR_LANES)
            FN(store_up_to)(out + l, FN(load_up_to)(in + l, count - l), count - l);
    else
        for (ptrdiff_t l = 0; l < count; l++) out[l] = in[l * stride];
}

INLINE void FN(add_run)(REAL *out, const REAL *in, ptrdiff_t stride, ptrdiff_t count)
{
    if (stride == 1)
        for (ptrdiff_t l = 0; l < count; l += VECTOR_LANES)
            FN(store_up_to)(out + l, FN(load_up_to)(out + l, count - l) + FN(load_up_to)(in + l, count - l), count - l);
    else
        for (ptrdiff_t l = 0; l < count; l++) out[l * stride] += in[l];
}

/* For each k from start to stop and each run of positions within one row of outputs, from the first-th position on:
 * inside(unfolded, input, stride, count) where the window sees the input, outside(unfolded, count) where it does not. */
#define FOR_RUNS(inside, outside)                                                                              \
    const ptrdiff_t area = w->size[0] * w->size[1], plane = w->in[0] * w->in[1];                               \
    for (ptrdiff_t k = start; k < stop; k++, u += ld) {                                                        \
        const ptrdiff_t i = k % area / w->size[1], j = k % w->size[1];                                         \
        ptrdiff_t y = first / w->out[1], from = first % w->out[1];                                             \
        for (ptrdiff_t at = 0; at < count; y++, from = 0) {                                                    \
            const ptrdiff_t run = (w->out[1] - from < count - at) ? w->out[1] - from : count - at;             \
            const ptrdiff_t row = y * w->stride[0] - w->before[0] + i * w->dilation[0];                        \
            ptrdiff_t end = from + run, begin = end;                                                           \
            if (row >= 0 && row < w->in[0]) begin = FN(columns_inside)(w, j, from, &end);                      \
            outside(u + at, begin - from);                                                                     \
            inside(u + at + (begin - from),                                                                    \
                   x + (k / area) * plane + row * w->in[1] + begin * w->stride[1] - w->before[1] + j * w->dilation[1], \
                   w->stride[1], end - begin);                                                                 \
            outside(u + at + (end - from), from + run - end);                                                  \
            at += run;                                                                                         \
        }                                                                                                      \
    }

static void FN(unfold)(void *u_, ptrdiff_t ld, const void *x_, const fm_window *w, ptrdiff_t start, ptrdiff_t stop,
                       ptrdiff_t first, ptrdiff_t count)
{
    REAL *u = u_;
    const REAL *x = x_;
#define COPY_RUN(u, x, stride, count) FN(copy_run)(u, x, stride, count)
#define ZERO_RUN(u, count) for (ptrdiff_t l = 0; l < (count); l++) (u)[l] = 0
    FOR_RUNS(COPY_RUN, ZERO_RUN)
}

static void FN(fold)(void *x_, const void *u_, ptrdiff_t ld, const fm_window *w, ptrdiff_t start, ptrdiff_t stop,
                     ptrdiff_t first, ptrdiff_t count)
{
    const REAL *u = u_;
    REAL *x = x_;
#define ADD_RUN(u, x, stride, count) FN(add_run)(x, u, stride, count)
#define LEAVE_RUN(u, count) (void)0
    FOR_RUNS(ADD_RUN, LEAVE_RUN)
}

static void FN(spread)(void *z_, const void *values_, ptrdiff_t channels, ptrdiff_t positions)
{
    REAL *z = z_;
    const REAL *values = values_;
    for (ptrdiff_t c = 0; c < channels; c++, z += positions)
        for (ptrdiff_t l = 0; l < positions; l += VECTOR_LANES)
            FN(store_up_to)(z + l, FN(splat)(values[c]), positions - l);
}

static void FN(plane_sums)(void *sums_, const void *d_, ptrdiff_t channels, ptrdiff_t positions)
{
    REAL *sums = sums_;
    const REAL *d = d_;
    for (ptrdiff_t c = 0; c < channels; c++, d += positions) {
        FN(vector) sum[GROUP_VECTORS];
        REAL lanes[LANES];
        FOR_GROUP sum[v] = FN(splat)(0);
        for (ptrdiff_t l = 0; l < positions; l += LANES)
            FOR_GROUP sum[v] += FN(load_up_to)(d + l + v * VECTOR_LANES, positions - l - v * VECTOR_LANES);
        memcpy(lanes, sum, sizeof lanes);
        sums[c] += FN(fold_sum)(lanes);
    }
}

/* ---- pooling ---- */

static void FN(max_pool)(void *out_, int32_t *places, const void *x_, const fm_window *w)
{
    REAL *out = out_;
    const REAL *x = x_;
    for (ptrdiff_t c = 0; c < w->channels; c++, x += w->in[0] * w->in[1])
        for (ptrdiff_t y = 0; y < w->out[0]; y++)
            for (ptrdiff_t o = 0; o < w->out[1]; o++) {
                const ptrdiff_t corner = y * w->stride[0] * w->in[1] + o * w->stride[1];
                ptrdiff_t place = corner;
                REAL most = x[corner];
                for (ptrdiff_t i = 0; i < w->size[0]; i++)
                    for (ptrdiff_t j = 0; j < w->size[1]; j++) {
                        const ptrdiff_t at = corner + i * w->in[1] + j;
                        const int more = !(x[at] <= most) && most == most; /* NaN is the most, the first one */
                        most = more ? x[at] : most;
                        place = more ? at : place;
                    }
                *out++ = most;
                if (places) *places++ = (int32_t)place;
            }
}

static void FN(max_unpool)(void *x_, const int32_t *places, const void *d_, const fm_window *w)
{
    REAL *x = x_;
    const REAL *d = d_;
    for (ptrdiff_t c = 0; c < w->channels; c++, x += w->in[0] * w->in[1])
        for (ptrdiff_t l = 0; l < w->out[0] * w->out[1]; l++) x[*places++] += *d++;
}

static void FN(mean_pool)(void *out_, const void *x_, const fm_window *w)
{
    const REAL share = R(1.0) / (REAL)(w->size[0] * w->size[1]);
    REAL *out = out_;
    const REAL *x = x_;
    for (ptrdiff_t c = 0; c < w->channels; c++, x += w->in[0] * w->in[1])
        for (ptrdiff_t y = 0; y < w->out[0]; y++)
            for (ptrdiff_t o = 0; o < w->out[1]; o++) {
                const REAL *corner = x + y * w->stride[0] * w->in[1] + o * w->stride[1];
                REAL sum = 0;
                for (ptrdiff_t i = 0; i < w->size[0]; i++)
                    for (ptrdiff_t j = 0; j < w->size[1]; j++) sum += corner[i * w->in[1] + j];
                *out++ = sum * share;
            }
}

static void FN(mean_unpool)(void *x_, const void *d_, const fm_window *w)
{
    const REAL share = R(1.0) / (REAL)(w->size[0] * w->size[1]);
    REAL *x = x_;
    const REAL *d = d_;
    for (ptrdiff_t c = 0; c < w->channels; c++, x += w->in[0] * w->in[1])
        for (ptrdiff_t y = 0; y < w->out[0]; y++)
            for (ptrdiff_t o = 0; o < w->out[1]; o++) {
                REAL *corner = x + y * w->stride[0] * w->in[1] + o * w->stride[1];
                const REAL part = *d++ * share;
                for (ptrdiff_t i = 0; i < w->size[0]; i++)
                    for (ptrdiff_t j = 0; j < w->size[1]; j++) corner[i * w->in[1] + j] += part;
            }
}
