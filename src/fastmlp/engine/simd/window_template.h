/* What windows that slide over planes do, for REAL: convolution and pooling.
 *
 * A row is (channels, height, width) one after another, and so are its outputs. Vectors lie along the width, whatever
 * the number of channels. Convolution is a product with the unfolded rows:
 *
 *   Z (channels, positions) = W^T U + b    U (k, positions): what the window sees, k = (channel, i, j)
 *
 * Outside the input is 0. Rows begin anywhere, and nothing outside them is read or written.
 */

/* The elements of a row of outputs that element j of the window sees within the input's width: from *least to before the
 * returned one. */
INLINE ptrdiff_t FN(columns_inside)(const fm_window *w, ptrdiff_t j, ptrdiff_t *least)
{
    const ptrdiff_t shift = w->before[1] - j * w->dilation[1]; /* input column = output column * stride - shift */
    const ptrdiff_t reach = w->in[1] - 1 + shift, end = reach < 0 ? 0 : reach / w->stride[1] + 1;
    *least = shift > 0 ? (shift + w->stride[1] - 1) / w->stride[1] : 0;
    return end < w->out[1] ? end : w->out[1];
}

/* out (count,) = in: what masks would take long for (stores, on some processors) is done in overlapping pieces */
INLINE void FN(copy_run)(REAL *restrict out, const REAL *restrict in, ptrdiff_t count)
{
    if (count >= VECTOR_LANES) {
        const ptrdiff_t last = count - VECTOR_LANES;
        for (ptrdiff_t l = 0; l < last; l += VECTOR_LANES) *(FN(vector) *)(out + l) = *(const FN(vector) *)(in + l);
        *(FN(vector) *)(out + last) = *(const FN(vector) *)(in + last);
        return;
    }
    for (ptrdiff_t piece = VECTOR_LANES / 2; piece; piece /= 2)
        if (count >= piece) {
#define COPY_PIECE(lanes)                                                                                      \
    if (piece == (lanes)) {                                                                                    \
        memcpy(out, in, (lanes) * sizeof(REAL));                                                     \
        memcpy(out + count - (lanes), in + count - (lanes), (lanes) * sizeof(REAL));                 \
    }
            COPY_PIECE(8) COPY_PIECE(4) COPY_PIECE(2) COPY_PIECE(1)
            return;
        }
}

INLINE void FN(zero_run)(REAL *out, ptrdiff_t count)
{
    for (ptrdiff_t l = 0; l < count; l++) out[l] = 0;
}

/* out (count,) += in, both in their order */
INLINE void FN(add_run)(REAL *restrict out, const REAL *restrict in, ptrdiff_t count)
{
    ptrdiff_t l = 0;
    for (; l + VECTOR_LANES <= count; l += VECTOR_LANES)
        *(FN(vector) *)(out + l) += *(const FN(vector) *)(in + l);
    for (; l < count; l++) out[l] += in[l];
}

/* For each k from start to stop and each run of positions within one row of outputs, from the first-th position on:
 * `inside` with `count` elements of u and of x, where the window sees the input; `outside` where it does not. */
#define FOR_RUNS(inside, outside)                                                                              \
    const ptrdiff_t area = w->size[0] * w->size[1], plane = w->in[0] * w->in[1], width = w->out[1];            \
    const ptrdiff_t first_y = first / width, first_o = first - first_y * width, stride = w->stride[1];         \
    for (ptrdiff_t k = start; k < stop; k++, u += ld) {                                                        \
        const ptrdiff_t c = k / area, i = (k - c * area) / w->size[1], j = k - c * area - i * w->size[1];      \
        ptrdiff_t least, most = FN(columns_inside)(w, j, &least), y = first_y, from = first_o;                 \
        ptrdiff_t row = y * w->stride[0] - w->before[0] + i * w->dilation[0];                                  \
        for (ptrdiff_t at = 0; at < count; row += w->stride[0], from = 0) {                                    \
            const ptrdiff_t run = (width - from < count - at) ? width - from : count - at;                     \
            ptrdiff_t begin = least > from ? least : from, end = most < from + run ? most : from + run;        \
            if (row < 0 || row >= w->in[0] || begin >= end) begin = end = from + run;                          \
            outside(u + at, begin - from);                                                                     \
            inside(u + at + (begin - from),                                                                    \
                   x + c * plane + row * w->in[1] + begin * stride - w->before[1] + j * w->dilation[1],        \
                   end - begin);                                                                               \
            outside(u + at + (end - from), from + run - end);                                                  \
            at += run;                                                                                         \
        }                                                                                                      \
    }

static void FN(unfold)(void *u_, ptrdiff_t ld, const void *x_, const fm_window *w, ptrdiff_t start, ptrdiff_t stop,
                       ptrdiff_t first, ptrdiff_t count)
{
    REAL *u = u_;
    const REAL *x = x_;
#define STRIDED_COPY(u, x, count) for (ptrdiff_t l = 0; l < (count); l++) (u)[l] = (x)[l * stride]
    if (w->stride[1] == 1) {
        FOR_RUNS(FN(copy_run), FN(zero_run))
    } else {
        FOR_RUNS(STRIDED_COPY, FN(zero_run))
    }
}

static void FN(fold)(void *x_, const void *u_, ptrdiff_t ld, const fm_window *w, ptrdiff_t start, ptrdiff_t stop,
                     ptrdiff_t first, ptrdiff_t count)
{
    const REAL *u = u_;
    REAL *x = x_;
#define ADD_TO_X(u, x, count) FN(add_run)(x, u, count)
#define STRIDED_ADD(u, x, count) for (ptrdiff_t l = 0; l < (count); l++) (x)[l * stride] += (u)[l]
#define LEAVE(u, count) (void)0
    if (w->stride[1] == 1) {
        FOR_RUNS(ADD_TO_X, LEAVE)
    } else {
        FOR_RUNS(STRIDED_ADD, LEAVE)
    }
}

/* Rows of one plane's width into rows of another: out (channels, out_height, out_width) = x (channels, height, width),
 * whose planes are x_plane elements apart, from (top, left) on, 0 elsewhere; or x's upper left part where out is smaller. */
static void FN(frame)(void *out_, ptrdiff_t out_height, ptrdiff_t out_width, const void *x_, ptrdiff_t x_plane,
                      ptrdiff_t channels, ptrdiff_t height, ptrdiff_t width, ptrdiff_t top, ptrdiff_t left)
{
    const ptrdiff_t rows = height < out_height - top ? height : out_height - top;
    const ptrdiff_t columns = width < out_width - left ? width : out_width - left;
    REAL *out = out_;
    const REAL *x = x_;
    if (rows < out_height || columns < out_width) { /* at once: a row's ends are only a few elements */
        const ptrdiff_t size = channels * out_height * out_width;
        for (ptrdiff_t l = 0; l < size; l += VECTOR_LANES) FN(store_up_to)(out + l, FN(splat)(0), size - l);
    }
    for (ptrdiff_t c = 0; c < channels; c++, x += x_plane, out += out_height * out_width)
        for (ptrdiff_t y = 0; y < rows; y++)
            FN(copy_run)(out + (top + y) * out_width + left, x + y * width, columns);
}

static void FN(shifted)(void *u_, ptrdiff_t ld, const void *x_, const ptrdiff_t *shifts, ptrdiff_t rows, ptrdiff_t count)
{
    REAL *u = u_;
    for (ptrdiff_t k = 0; k < rows; k++, u += ld) {
        const REAL *x = (const REAL *)x_ + shifts[k];
        for (ptrdiff_t l = 0; l + LANES <= count; l += LANES)
            FOR_GROUP *(FN(vector) *)(u + l + v * VECTOR_LANES) = *(const FN(vector) *)(x + l + v * VECTOR_LANES);
        FN(copy_run)(u + count / LANES * LANES, x + count / LANES * LANES, count % LANES);
    }
}

static void FN(spread)(void *z_, const void *values_, ptrdiff_t channels, ptrdiff_t positions)
{
    REAL *z = z_;
    const REAL *values = values_;
    for (ptrdiff_t c = 0; c < channels; c++, z += positions)
        for (ptrdiff_t l = 0; l < positions; l++) z[l] = values[c];
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

/* For each vector of n places of the window in each plane of x: the window of the first begins at element `at` of the
 * plane, and its output is *out. */
#define FOR_PLACES                                                                                             \
    for (ptrdiff_t c = 0; c < w->channels; c++, x += w->in[0] * w->in[1])                                      \
        for (ptrdiff_t y = 0; y < w->out[0]; y++)                                                              \
            for (ptrdiff_t o = 0, at = y * w->stride[0] * w->in[1], n; o < w->out[1];                          \
                 o += VECTOR_LANES, at += VECTOR_LANES * w->stride[1], out += n)                               \
                if ((n = w->out[1] - o < VECTOR_LANES ? w->out[1] - o : VECTOR_LANES))

/* Outputs of n lanes; where there is room up to `end` the vector is stored whole, as the lanes behind are stored later:
 * masked stores take long on some processors. */
INLINE void FN(store_outputs)(REAL *out, FN(vector) v, ptrdiff_t n, const REAL *end)
{
    if (end - out >= VECTOR_LANES) *(FN(vector) *)out = v;
    else FN(store_part)(out, v, n);
}

/* The greatest element that each of n places sees, and which it is, as x[where]: the first of equal ones */
INLINE FN(vector) FN(greatest)(const REAL *x, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width, ptrdiff_t stride,
                               ptrdiff_t n, FN(lanes) *where)
{
    FN(vector) most = FN(load_every)(x, stride, n);
    *where = (FN(lanes)){0};
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++) {
            const FN(vector) value = FN(load_every)(x + i * width + j, stride, n);
            /* a NaN is the greatest, and stays */
            const FN(lanes) more = ~FN(at_least)(most, value) & FN(at_least)(most, most);
            most = FN(chosen)(more, value, most);
            *where = FN(chosen_lanes)(more, (FN(lanes)){0} + (PICK(int64_t, int32_t))(i * width + j), *where);
        }
    return most;
}

static void FN(max_pool)(void *out_, int32_t *places, const void *x_, const fm_window *w)
{
    const ptrdiff_t width = w->in[1], step = w->stride[1];
    /* the usual window, of constant size */
    const int halves = w->size[0] == 2 && w->size[1] == 2 && step == 2;
    REAL *out = out_;
    const REAL *x = x_, *const end = out + w->channels * w->out[0] * w->out[1];
    FOR_PLACES {
        FN(lanes) which;
        FN(store_outputs)(out, halves ? FN(greatest)(x + at, 2, 2, width, 2, n, &which)
                                      : FN(greatest)(x + at, w->size[0], w->size[1], width, step, n, &which),
                          n, end);
        if (!places) continue;
        PICK(int64_t, int32_t) where[VECTOR_LANES];
        int32_t place[VECTOR_LANES];
        memcpy(where, &which, sizeof where);
        FOR_VECTOR place[l] = (int32_t)(at + l * step + where[l]);
        memcpy(places, place, (size_t)n * sizeof *place);
        places += n;
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
    const FN(vector) share = FN(splat)(R(1.0) / (REAL)(w->size[0] * w->size[1]));
    REAL *out = out_;
    const REAL *x = x_, *const end = out + w->channels * w->out[0] * w->out[1];
    FOR_PLACES {
        FN(vector) sum = FN(splat)(0);
        for (ptrdiff_t i = 0; i < w->size[0]; i++)
            for (ptrdiff_t j = 0; j < w->size[1]; j++)
                sum += FN(load_every)(x + at + i * w->in[1] + j, w->stride[1], n);
        FN(store_outputs)(out, sum * share, n, end);
    }
}

static void FN(mean_unpool)(void *x_, const void *d_, const fm_window *w)
{
    const REAL share = R(1.0) / (REAL)(w->size[0] * w->size[1]);
    const ptrdiff_t width = w->in[1];
    REAL *x = x_;
    const REAL *d = d_;
    for (ptrdiff_t c = 0; c < w->channels; c++, x += w->in[0] * width)
        for (ptrdiff_t y = 0; y < w->out[0]; y++)
            for (ptrdiff_t o = 0, at = y * w->stride[0] * width; o < w->out[1]; o++, at += w->stride[1]) {
                const REAL part = *d++ * share;
                for (ptrdiff_t i = 0; i < w->size[0]; i++)
                    for (ptrdiff_t j = 0; j < w->size[1]; j++) x[at + i * width + j] += part;
            }
}

/* ---- augmentation ---- */

/* out (height, width) = in moved down by dy and right by dx, 0 where nothing comes from, out being 0 already */
INLINE void FN(move_plane)(REAL *restrict out, const REAL *restrict in, ptrdiff_t height, ptrdiff_t width, ptrdiff_t dy,
                           ptrdiff_t dx, int upside_down, int mirrored)
{
    const ptrdiff_t from = dx > 0 ? dx : 0, to = dx < 0 ? width + dx : width;
    for (ptrdiff_t y = dy > 0 ? dy : 0; y < (dy < 0 ? height + dy : height); y++) {
        const REAL *row = in + (upside_down ? height - 1 - (y - dy) : y - dy) * width;
        if (mirrored)
            for (ptrdiff_t x = from; x < to; x++) out[y * width + x] = row[width - 1 - (x - dx)];
        else
            for (ptrdiff_t x = from; x < to; x++) out[y * width + x] = row[x - dx];
    }
}

/* x (count,) += deviation * normal numbers, Box & Muller (1958): those of two halves of the words that a counter and
 * the key make, as dropout has them */
INLINE void FN(add_noise)(REAL *x, ptrdiff_t count, REAL deviation, uint64_t key)
{
    const FN(words) lane = FN(lane_numbers)() + (uint32_t)key;
    for (ptrdiff_t j = 0; j < count; j += VECTOR_LANES) {
        const FN(words) word = FN(scrambled)(FN(scrambled)(lane + (uint32_t)j) ^ (uint32_t)(key >> 32));
        const FN(vector) angle = FN(numbers_of)(word & 0xffff) * FN(splat)(R(0x1p-16));
        const FN(vector) share = (FN(numbers_of)(word >> 16) + FN(splat)(R(0.5)))
                                 * FN(splat)(R(0x1p-16));
        REAL length[VECTOR_LANES];
        *(FN(vector) *)length = share;
        FOR_VECTOR length[l] = FN(sqrt)(R(-2.0) * FN(log)(length[l]));
        const FN(vector) noise = *(const FN(vector) *)length * FN(cos_of_turns)(angle);
        FN(store_up_to)(x + j, FN(vfma)(FN(splat)(deviation), noise, FN(load_up_to)(x + j, count - j)), count - j);
    }
}

static void FN(augment)(void *x, void *room, uint64_t word, uint64_t key, const fm_augmentation *a)
{
    const ptrdiff_t plane = a->height * a->width, n = a->channels * plane;
    /* each number of 0 to 2 shift from 16 bits, the flips from a bit each */
    const ptrdiff_t dy = (ptrdiff_t)((word & 0xffff) * (uint64_t)(2 * a->shift[0] + 1) >> 16) - a->shift[0];
    const ptrdiff_t dx = (ptrdiff_t)((word >> 16 & 0xffff) * (uint64_t)(2 * a->shift[1] + 1) >> 16) - a->shift[1];
    const int upside_down = a->flip[0] && word >> 32 & 1, mirrored = a->flip[1] && word >> 33 & 1;
    if (dy || dx || upside_down || mirrored) {
        memcpy(room, x, sizeof(REAL) * (size_t)n);
        memset(x, 0, sizeof(REAL) * (size_t)n);
        for (ptrdiff_t c = 0; c < a->channels; c++)
            FN(move_plane)((REAL *)x + c * plane, (const REAL *)room + c * plane, a->height, a->width, dy, dx,
                           upside_down, mirrored);
    }
    if (a->noise > 0.0) FN(add_noise)(x, n, (REAL)a->noise, key);
}
