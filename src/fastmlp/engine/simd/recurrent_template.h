/* What cells of recurrent layers do at one step for some rows, for REAL; vectors lie along the units.
 *
 *   GRU    r = s(z_r), u = s(z_u), n = tanh(z_n + r z_m), h' = (1 - u) n + u h          Cho et al. (2014), PyTorch's form
 *   LSTM   i, f, o = s(z_i), s(z_f), s(z_o), g = tanh(z_g), c' = f c + i g, h' = o tanh(c')
 *                                                   Hochreiter & Schmidhuber (1997), Gers et al. (2000)
 *
 * s is the logistic function. z (rows, 4, units) has the sums of the gates; of a GRU z_n those over the input and z_m
 * those over the state. What is kept of a step begins with the four gates, r, u, n and z_m or i, f, g and o, followed by
 * h' and, of an LSTM, c'. Deltas by the sums take the gates' places. Rows begin anywhere, and nothing behind their last
 * unit is read or written.
 */

static void FN(add_share)(void *out_, const void *x_, double share, ptrdiff_t count)
{
    REAL *out = out_;
    const REAL *x = x_;
    const FN(vector) factor = FN(splat)((REAL)share);
    for (ptrdiff_t j = 0; j < count; j += VECTOR_LANES)
        FN(store_up_to)(out + j, FN(vfma)(factor, FN(load_up_to)(x + j, count - j), FN(load_up_to)(out + j, count - j)),
                        count - j);
}

/* the logistic function, for |z| > CLOSE_HI its value there */
INLINE REAL FN(gate)(REAL z)
{
    return R(1.0) / (R(1.0) + FN(close_exp)(FN(bounded)(-z, -CLOSE_HI, CLOSE_HI)));
}

/* An array of the lanes that there are of those behind p, and back. */
#define LANES_OF(name, p)        \
    REAL name[VECTOR_LANES];     \
    *(FN(vector) *)name = FN(load_up_to)(p, left)
#define PUT(p, name) FN(store_up_to)(p, *(const FN(vector) *)(name), left)
/* four of them, the gates or their deltas, which lie `units` apart, from unit j on */
#define GATES_OF(a, b, c, d, p)    \
    LANES_OF(a, (p) + j);          \
    LANES_OF(b, (p) + units + j);  \
    LANES_OF(c, (p) + 2 * units + j); \
    LANES_OF(d, (p) + 3 * units + j)
#define PUT_GATES(p, a, b, c, d) \
    PUT((p) + j, a), PUT((p) + units + j, b), PUT((p) + 2 * units + j, c), PUT((p) + 3 * units + j, d)
#define FOR_UNITS for (ptrdiff_t j = 0, left = units; j < units; j += VECTOR_LANES, left -= VECTOR_LANES)

static void FN(gru)(void *h_, const void *before_, void *cells, const void *z_, void *const *own, ptrdiff_t at,
                    ptrdiff_t rows, ptrdiff_t units)
{
    (void)cells;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const REAL *z = (const REAL *)z_ + i * 4 * units, *before = (const REAL *)before_ + i * units;
        REAL *h = (REAL *)h_ + i * units, *kept = own ? (REAL *)own[i] + at : NULL;
        FOR_UNITS {
            GATES_OF(r, u, n, m, z);
            LANES_OF(s, before + j);
            FOR_VECTOR r[l] = FN(gate)(r[l]);
            FOR_VECTOR u[l] = FN(gate)(u[l]);
            FOR_VECTOR n[l] = FN(tanh)(FN(fma)(r[l], m[l], n[l]));
            FOR_VECTOR s[l] = FN(fma)(u[l], s[l] - n[l], n[l]);
            PUT(h + j, s);
            if (!kept) continue;
            PUT_GATES(kept, r, u, n, m);
            PUT(kept + 4 * units + j, s);
        }
    }
}

static void FN(gru_back)(void *dh_, void *dcells, void *d_, void *const *own, ptrdiff_t at, ptrdiff_t size,
                         ptrdiff_t rows, ptrdiff_t units, int keep)
{
    (void)dcells;
    for (ptrdiff_t i = 0; i < rows; i++) {
        REAL *dh = (REAL *)dh_ + i * units, *d = (REAL *)d_ + i * 4 * units, *kept = (REAL *)own[i] + at;
        FOR_UNITS {
            GATES_OF(r, u, n, m, kept);
            LANES_OF(g, dh + j);
            REAL before[VECTOR_LANES] = {0};
            if (at) *(FN(vector) *)before = FN(load_up_to)(kept - size + 4 * units + j, left);
            FOR_VECTOR {
                const REAL to_u = g[l] * (before[l] - n[l]), to_n = g[l] * (R(1.0) - u[l]) * (R(1.0) - n[l] * n[l]);
                g[l] *= u[l];
                u[l] = to_u * (u[l] * (R(1.0) - u[l]));
                n[l] = to_n;
                m[l] = to_n * m[l] * (r[l] * (R(1.0) - r[l]));
                r[l] = to_n * r[l];
            }
            PUT(dh + j, g);
            PUT_GATES(d, m, u, n, r);
            if (keep) PUT_GATES(kept, m, u, n, r);
        }
    }
}

static void FN(lstm)(void *h_, const void *before, void *cells_, const void *z_, void *const *own, ptrdiff_t at,
                     ptrdiff_t rows, ptrdiff_t units)
{
    (void)before;
    for (ptrdiff_t k = 0; k < rows; k++) {
        const REAL *z = (const REAL *)z_ + k * 4 * units;
        REAL *h = (REAL *)h_ + k * units, *cells = (REAL *)cells_ + k * units;
        REAL *kept = own ? (REAL *)own[k] + at : NULL;
        FOR_UNITS {
            GATES_OF(i, f, g, o, z);
            LANES_OF(c, cells + j);
            REAL s[VECTOR_LANES];
            FOR_VECTOR i[l] = FN(gate)(i[l]);
            FOR_VECTOR f[l] = FN(gate)(f[l]);
            FOR_VECTOR g[l] = FN(tanh)(g[l]);
            FOR_VECTOR o[l] = FN(gate)(o[l]);
            FOR_VECTOR c[l] = FN(fma)(f[l], c[l], i[l] * g[l]);
            FOR_VECTOR s[l] = o[l] * FN(tanh)(c[l]);
            PUT(cells + j, c);
            PUT(h + j, s);
            if (!kept) continue;
            PUT_GATES(kept, i, f, g, o);
            PUT(kept + 4 * units + j, s);
            PUT(kept + 5 * units + j, c);
        }
    }
}

static void FN(lstm_back)(void *dh_, void *dcells_, void *d_, void *const *own, ptrdiff_t at, ptrdiff_t size,
                          ptrdiff_t rows, ptrdiff_t units, int keep)
{
    for (ptrdiff_t k = 0; k < rows; k++) {
        REAL *dh = (REAL *)dh_ + k * units, *dcells = (REAL *)dcells_ + k * units;
        REAL *d = (REAL *)d_ + k * 4 * units, *kept = (REAL *)own[k] + at;
        FOR_UNITS {
            GATES_OF(i, f, g, o, kept);
            LANES_OF(c, kept + 5 * units + j);
            LANES_OF(e, dh + j);
            LANES_OF(dc, dcells + j);
            REAL before[VECTOR_LANES] = {0};
            if (at) *(FN(vector) *)before = FN(load_up_to)(kept - size + 5 * units + j, left);
            FOR_VECTOR c[l] = FN(tanh)(c[l]);
            FOR_VECTOR {
                const REAL to_c = FN(fma)(e[l] * o[l], R(1.0) - c[l] * c[l], dc[l]);
                const REAL to_i = to_c * g[l], to_g = to_c * i[l];
                o[l] = e[l] * c[l] * (o[l] * (R(1.0) - o[l]));
                dc[l] = to_c * f[l];
                f[l] = to_c * before[l] * (f[l] * (R(1.0) - f[l]));
                i[l] = to_i * (i[l] * (R(1.0) - i[l]));
                g[l] = to_g * (R(1.0) - g[l] * g[l]);
                e[l] = R(0.0); /* h has part in the sums of the next step alone */
            }
            PUT(dh + j, e);
            PUT(dcells + j, dc);
            PUT_GATES(d, i, f, g, o);
            if (keep) PUT_GATES(kept, i, f, g, o);
        }
    }
}
