/* One vector register of REAL: the few operations that C does not spell, and a square of them transposed. */
#define LANE_COUNT (FM_VECTOR_BYTES / (4 + 4 * FM_DOUBLE)) /* as the preprocessor can count */
#define VECTOR_LANES ((ptrdiff_t)LANE_COUNT)
#define FOR_VECTOR for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
typedef REAL FN(vector) __attribute__((vector_size(FM_VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
typedef PICK(int64_t, int32_t) FN(lanes) __attribute__((vector_size(FM_VECTOR_BYTES)));

/* load_part, store_part: the first n lanes, 0 <= n <= VECTOR_LANES, and no byte behind them
 * nearest: rounded to integers */
#if FM_VECTOR_BYTES == 64
#if FM_DOUBLE
INLINE FN(vector) FN(splat)(REAL x) { return _mm512_set1_pd(x); }
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return _mm512_fmadd_pd(a, b, c); }
INLINE FN(vector) FN(load_part)(const REAL *p, ptrdiff_t n) { return _mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
INLINE void FN(store_part)(REAL *p, FN(vector) v, ptrdiff_t n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), v); }
INLINE FN(vector) FN(nearest)(FN(vector) x) { return _mm512_roundscale_pd(x, _MM_FROUND_TO_NEAREST_INT); }
#else
INLINE FN(vector) FN(splat)(REAL x) { return _mm512_set1_ps(x); }
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return _mm512_fmadd_ps(a, b, c); }
INLINE FN(vector) FN(load_part)(const REAL *p, ptrdiff_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
INLINE void FN(store_part)(REAL *p, FN(vector) v, ptrdiff_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v); }
INLINE FN(vector) FN(nearest)(FN(vector) x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT); }
#endif
#elif FM_VECTOR_BYTES == 32
#if FM_DOUBLE
INLINE __m256i FN(lane_mask)(ptrdiff_t n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
INLINE FN(vector) FN(splat)(REAL x) { return _mm256_set1_pd(x); }
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return _mm256_fmadd_pd(a, b, c); }
INLINE FN(vector) FN(load_part)(const REAL *p, ptrdiff_t n) { return _mm256_maskload_pd(p, FN(lane_mask)(n)); }
INLINE void FN(store_part)(REAL *p, FN(vector) v, ptrdiff_t n) { _mm256_maskstore_pd(p, FN(lane_mask)(n), v); }
INLINE FN(vector) FN(nearest)(FN(vector) x) { return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#else
INLINE __m256i FN(lane_mask)(ptrdiff_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE FN(vector) FN(splat)(REAL x) { return _mm256_set1_ps(x); }
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return _mm256_fmadd_ps(a, b, c); }
INLINE FN(vector) FN(load_part)(const REAL *p, ptrdiff_t n) { return _mm256_maskload_ps(p, FN(lane_mask)(n)); }
INLINE void FN(store_part)(REAL *p, FN(vector) v, ptrdiff_t n) { _mm256_maskstore_ps(p, FN(lane_mask)(n), v); }
INLINE FN(vector) FN(nearest)(FN(vector) x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#endif
#else
INLINE FN(vector) FN(splat)(REAL x)
{
#if FM_DOUBLE
    return (FN(vector)){x, x};
#else
    return (FN(vector)){x, x, x, x};
#endif
}
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c)
{
#if defined(__ARM_FEATURE_FMA)
    for (int l = 0; l < VECTOR_LANES; l++) c[l] = FN(fma)(a[l], b[l], c[l]);
    return c;
#else
    return a * b + c;
#endif
}
INLINE FN(vector) FN(load_part)(const REAL *p, ptrdiff_t n)
{
    FN(vector) v = {0};
    if (n == VECTOR_LANES) return *(const FN(vector) *)p;
    for (ptrdiff_t l = 0; l < n; l++) v[l] = p[l];
    return v;
}
INLINE void FN(store_part)(REAL *p, FN(vector) v, ptrdiff_t n)
{
    for (ptrdiff_t l = 0; l < n; l++) p[l] = v[l];
}
INLINE FN(vector) FN(nearest)(FN(vector) x)
{
    const FN(vector) shift = FN(splat)(SHIFT), small = FN(splat)(INTEGER_ONE / 2);
    const FN(lanes) inside = (x < small) & (x > -small); /* others are integers */
    return (FN(vector))((inside & (FN(lanes))((x + shift) - shift)) | (~inside & (FN(lanes))x));
}
#endif

/* the same for any n, the lanes that there are of those behind p */
INLINE FN(vector) FN(load_up_to)(const REAL *p, ptrdiff_t n)
{
    return (n >= VECTOR_LANES) ? *(const FN(vector) *)p : FN(load_part)(p, (n > 0) ? n : 0);
}
INLINE void FN(store_up_to)(REAL *p, FN(vector) v, ptrdiff_t n)
{
    if (n >= VECTOR_LANES) *(FN(vector) *)p = v;
    else if (n > 0) FN(store_part)(p, v, n);
}

INLINE FN(vector) FN(vabs)(FN(vector) x) { return (FN(vector))((FN(lanes))x & ~(FN(lanes))FN(splat)(R(-0.0))); }
/* x >= 0 with the sign of s */
INLINE FN(vector) FN(with_sign)(FN(vector) x, FN(vector) s)
{
    return (FN(vector))((FN(lanes))x | ((FN(lanes))s & (FN(lanes))FN(splat)(R(-0.0))));
}

/* ---- transposition ----
 *
 * r[i] is row i of a square of VECTOR_LANES. Swapping bit s of row and lane number, for every s, turns all of it:
 *
 *     a = r[i]      a0 a1 a2 a3        a0 b0 a2 b2                r[i]
 *     b = r[i + s]  b0 b1 b2 b3        a1 b1 a3 b3    s = 1       r[i + s]
 */
#define LANES_2(f, s) f(0, s), f(1, s)
#define LANES_4(f, s) LANES_2(f, s), f(2, s), f(3, s)
#define LANES_8(f, s) LANES_4(f, s), f(4, s), f(5, s), f(6, s), f(7, s)
#define LANES_16(f, s) LANES_8(f, s), f(8, s), f(9, s), f(10, s), f(11, s), f(12, s), f(13, s), f(14, s), f(15, s)
#if LANE_COUNT == 16
#define ALL_LANES LANES_16
#elif LANE_COUNT == 8
#define ALL_LANES LANES_8
#elif LANE_COUNT == 4
#define ALL_LANES LANES_4
#else
#define ALL_LANES LANES_2
#endif
#define UPPER(l, s) (((l) & (s)) ? VECTOR_LANES + (l) - (s) : (l))
#define LOWER(l, s) (((l) & (s)) ? VECTOR_LANES + (l) : (l) + (s))
#ifdef __clang__
#define SHUFFLE(a, b, which, s) __builtin_shufflevector(a, b, ALL_LANES(which, s))
#else
#define SHUFFLE(a, b, which, s) __builtin_shuffle(a, b, (FN(lanes)){ALL_LANES(which, s)})
#endif
#define SWAP_BIT(s)                                                                                            \
    UNROLLED for (ptrdiff_t i = 0; i < VECTOR_LANES; i++)                                      \
        if (!(i & (s))) {                                                                                      \
            FN(vector) a = r[i], b = r[i + (s)];                                                               \
            r[i] = SHUFFLE(a, b, UPPER, s);                                                                    \
            r[i + (s)] = SHUFFLE(a, b, LOWER, s);                                                              \
        }
INLINE void FN(transpose_square)(FN(vector) *r)
{
    SWAP_BIT(1)
#if LANE_COUNT > 2
    SWAP_BIT(2)
#endif
#if LANE_COUNT > 4
    SWAP_BIT(4)
#endif
#if LANE_COUNT > 8
    SWAP_BIT(8)
#endif
}

/* out (n, ld) = w (rows, w_ld) transposed, n columns of it */
static void FN(transpose)(void *out_, ptrdiff_t ld, const void *w_, ptrdiff_t w_ld, ptrdiff_t rows, ptrdiff_t n)
{
    REAL *out = out_;
    const REAL *w = w_;
    for (ptrdiff_t i = 0; i < rows; i += VECTOR_LANES) {
        const ptrdiff_t height = (rows - i < VECTOR_LANES) ? rows - i : VECTOR_LANES;
        for (ptrdiff_t j = 0; j < n; j += VECTOR_LANES) {
            const ptrdiff_t width = (n - j < VECTOR_LANES) ? n - j : VECTOR_LANES;
            FN(vector) r[VECTOR_LANES];
            UNROLLED for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
                r[l] = FN(load_up_to)(w + (l < height ? (i + l) * w_ld + j : 0), l < height ? width : 0);
            FN(transpose_square)(r);
            UNROLLED for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
                if (l < width) FN(store_up_to)(out + (j + l) * ld + i, r[l], height);
        }
    }
}
