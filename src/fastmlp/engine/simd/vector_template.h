/* One vector register of REAL: the few operations that C does not spell, and a square of them transposed. */
#define LANE_COUNT (FM_VECTOR_BYTES / (4 + 4 * FM_DOUBLE)) /* as the preprocessor can count */
#define VECTOR_LANES ((ptrdiff_t)LANE_COUNT)
#if FM_VECTOR_BYTES == 16
#define LANEWISE PICK(PAIR_VECTORISED, FEW_VECTORISED)
#else
#define LANEWISE VECTORISED
#endif
#define FOR_VECTOR LANEWISE for (ptrdiff_t l = 0; l < VECTOR_LANES; l++)
#if LANE_COUNT > 1
typedef REAL FN(vector) VECTOR_IN_MEMORY(REAL, FM_VECTOR_BYTES);
typedef PICK(int64_t, int32_t) FN(lanes) VECTOR_IN_REGISTER(FM_VECTOR_BYTES);
typedef uint32_t FN(words) VECTOR_IN_REGISTER(4 * LANE_COUNT);
typedef double FN(wide) VECTOR_IN_REGISTER(8 * LANE_COUNT);
typedef REAL FN(half) VECTOR_IN_MEMORY(REAL, FM_ROW_BYTES / 2);
typedef REAL FN(quarter) VECTOR_IN_MEMORY(REAL, FM_ROW_BYTES / 4);
#else
typedef REAL FN(vector);
typedef PICK(int64_t, int32_t) FN(lanes);
typedef uint32_t FN(words);
typedef double FN(wide);
#endif

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
#elif LANE_COUNT > 1
INLINE FN(vector) FN(load_part)(const REAL *p, ptrdiff_t n)
{
    FN(vector) v = {0};
    if (n == VECTOR_LANES) return *(const FN(vector) *)p;
    if (n > 0) v[0] = p[0];
#if !FM_DOUBLE
    if (n > 1) v[1] = p[1];
    if (n > 2) v[2] = p[2];
#endif
    return v;
}
INLINE void FN(store_part)(REAL *p, FN(vector) v, ptrdiff_t n)
{
    if (n == VECTOR_LANES) {
        *(FN(vector) *)p = v;
        return;
    }
    if (n > 0) p[0] = v[0];
#if !FM_DOUBLE
    if (n > 1) p[1] = v[1];
    if (n > 2) p[2] = v[2];
#endif
}
#if FM_FUSED && FM_DOUBLE
INLINE FN(vector) FN(splat)(REAL x) { return vdupq_n_f64(x); }
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return vfmaq_f64(c, a, b); }
INLINE FN(vector) FN(nearest)(FN(vector) x) { return vrndnq_f64(x); }
#elif FM_FUSED
INLINE FN(vector) FN(splat)(REAL x) { return vdupq_n_f32(x); }
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return vfmaq_f32(c, a, b); }
INLINE FN(vector) FN(nearest)(FN(vector) x) { return vrndnq_f32(x); }
#else
INLINE FN(vector) FN(splat)(REAL x)
{
#if FM_DOUBLE
    return (FN(vector)){x, x};
#else
    return (FN(vector)){x, x, x, x};
#endif
}
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return a * b + c; }
INLINE FN(vector) FN(nearest)(FN(vector) x)
{
    const FN(vector) shift = FN(splat)(SHIFT), small = FN(splat)(INTEGER_ONE / 2);
    const FN(lanes) inside = (x < small) & (x > -small); /* others are integers */
    return (FN(vector))((inside & (FN(lanes))((x + shift) - shift)) | (~inside & (FN(lanes))x));
}
#endif
#else
INLINE FN(vector) FN(splat)(REAL x) { return x; }
INLINE FN(vector) FN(vfma)(FN(vector) a, FN(vector) b, FN(vector) c) { return a * b + c; }
INLINE FN(vector) FN(load_part)(const REAL *p, ptrdiff_t n) { return n ? *p : 0; }
INLINE void FN(store_part)(REAL *p, FN(vector) v, ptrdiff_t n) { if (n) *p = v; }
INLINE FN(vector) FN(nearest)(FN(vector) x)
{
    return (FN(abs)(x) < INTEGER_ONE / 2) ? (x + SHIFT) - SHIFT : x;
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

/* WIDENED: in double
 * with_sign: x >= 0 with the sign of s
 * at_least: -1 where a >= b, 0 elsewhere
 * chosen: a where which is -1, b where it is 0; the same of lane numbers
 * numbers_of: words below 2^24
 * ones_from: 1 where a word is at least the threshold, 0 elsewhere */
#if LANE_COUNT > 1
#define WIDENED(x) __builtin_convertvector(x, FN(wide))
INLINE FN(vector) FN(vabs)(FN(vector) x) { return (FN(vector))((FN(lanes))x & ~(FN(lanes))FN(splat)(R(-0.0))); }
INLINE FN(vector) FN(with_sign)(FN(vector) x, FN(vector) s)
{
    return (FN(vector))((FN(lanes))x | ((FN(lanes))s & (FN(lanes))FN(splat)(R(-0.0))));
}
INLINE FN(lanes) FN(at_least)(FN(vector) a, FN(vector) b) { return a >= b; }
INLINE FN(lanes) FN(chosen_lanes)(FN(lanes) which, FN(lanes) a, FN(lanes) b) { return (which & a) | (~which & b); }
INLINE FN(vector) FN(chosen)(FN(lanes) which, FN(vector) a, FN(vector) b)
{
    return (FN(vector))FN(chosen_lanes)(which, (FN(lanes))a, (FN(lanes))b);
}
INLINE FN(vector) FN(numbers_of)(FN(words) x) { return __builtin_convertvector(x, FN(vector)); }
INLINE FN(vector) FN(ones_from)(FN(words) x, uint32_t threshold)
{
    return __builtin_convertvector(-(x >= threshold), FN(vector));
}
#else
#define WIDENED(x) ((FN(wide))(x))
INLINE FN(vector) FN(vabs)(FN(vector) x) { return FN(abs)(x); }
INLINE FN(vector) FN(with_sign)(FN(vector) x, FN(vector) s) { return FN(copysign)(x, s); }
INLINE FN(lanes) FN(at_least)(FN(vector) a, FN(vector) b) { return -(a >= b); }
INLINE FN(lanes) FN(chosen_lanes)(FN(lanes) which, FN(lanes) a, FN(lanes) b) { return which ? a : b; }
INLINE FN(vector) FN(chosen)(FN(lanes) which, FN(vector) a, FN(vector) b) { return which ? a : b; }
INLINE FN(vector) FN(numbers_of)(FN(words) x) { return (REAL)x; }
INLINE FN(vector) FN(ones_from)(FN(words) x, uint32_t threshold) { return (REAL)(x >= threshold); }
#endif

/* ---- transposition ----
 *
 * r[i] is row i of a square of VECTOR_LANES. Swapping bit s of row and lane number, for every s, turns all of it:
 *
 *     a = r[i]      a0 a1 a2 a3        a0 b0 a2 b2                r[i]
 *     b = r[i + s]  b0 b1 b2 b3        a1 b1 a3 b3    s = 1       r[i + s]
 */
#if LANE_COUNT > 1
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
#define EVERY_SECOND(l, s) (2 * (l) + (s))
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
#endif
INLINE void FN(transpose_square)(FN(vector) *r)
{
    (void)r;
#if LANE_COUNT > 1
    SWAP_BIT(1)
#endif
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

/* x[0], x[stride], ... for the first n lanes, 1 <= n <= VECTOR_LANES; reads no element behind the n-th */
INLINE FN(vector) FN(load_every)(const REAL *x, ptrdiff_t stride, ptrdiff_t n)
{
    FN(vector) v = FN(splat)(0);
    if (stride == 1) return FN(load_up_to)(x, n);
#if LANE_COUNT > 1
    if (stride == 2)
        return SHUFFLE(FN(load_up_to)(x, 2 * n - 1), FN(load_up_to)(x + VECTOR_LANES, 2 * n - 1 - VECTOR_LANES),
                       EVERY_SECOND, 0);
    for (ptrdiff_t l = 0; l < n; l++) v[l] = x[l * stride];
#else
    v = *x;
#endif
    return v;
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
