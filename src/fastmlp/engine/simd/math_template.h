/* exp, log, tanh and relatives for REAL: no branches, no tables, so that loops over them vectorise.
 *
 * exp(x) = 2^k exp(r), k = round(x / ln 2), r = x - k ln 2 with ln 2 in two parts (Cody & Waite), and
 * exp(r) - 1 = r + r^2 q(r) with q a near-minimax (Chebyshev) polynomial on |r| <= ln(2) / 2.
 * log(x) = k ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)), and with s = f / (2 + f), z = s^2
 * log(1 + f) = f - (h - s (h + z R(z))), h = f^2 / 2, from log((1 + s) / (1 - s)) = 2 s + s^3 R(z) - ...
 * tanh(x) = t / (t + 2), t = exp(2 x) - 1.
 * Coefficients: Chebyshev fits in 40 digits. Errors are tested: 2 ulp in float, 4 in double.
 */
#define INLINE static inline __attribute__((always_inline))

/* Of two that differ, the double's and the float's. Every other macro of the templates has the same text in both
 * precisions, and the same text may be defined twice. */
#if FM_DOUBLE
#define PICK(of_double, of_float) of_double
#else
#define PICK(of_double, of_float) of_float
#endif
#define R(x) PICK(x, x##f)

typedef PICK(uint64_t, uint32_t) FN(bits);
#define EPSILON PICK(0x1p-52, 0x1p-23f)
#define MANTISSA PICK(52, 23)
#define EXPONENT_BIAS PICK(1023, 127)
#define SHIFT PICK(0x1.8p52, 0x1.8p23f) /* adding it rounds to an integer, left in the low bits */
#define LN2_HI PICK(0x1.62e42feep-1, 0x1.62e4p-1f)
#define LN2_LO PICK(0x1.a39ef35793c76p-33, 0x1.7f7d1cp-20f)
#define EXP_HI PICK(710.0, 89.0f)
#define EXP_LO PICK((-746.0), (-104.0f))
#define EXP_SMALL PICK((-1000.0), (-100.0f)) /* below it 2^k is built in two factors: the result may be subnormal */
#define EXP_LIFT PICK(200, 60)
#define EXP_DROP PICK(0x1p-200, 0x1p-60f)
#define TANH_HI PICK(40.0, 20.0f)
#define SQRT_HALF_BITS PICK(0x3fe6a09e00000000u, 0x3f3504f3u)
#define ONE_BITS PICK(0x3ff0000000000000u, 0x3f800000u)
#define MIN_NORMAL PICK(0x1p-1022, 0x1p-126f)
#define LOG_LIFT PICK(0x1p54, 0x1p25f)
#define LOG_LIFT_BITS PICK(54.0, 25.0f)
#define INTEGER_BITS PICK(0x4330000000000000u, 0x4b000000u) /* 2^52 | k is the double 2^52 + k */
#define INTEGER_ONE PICK(0x1p52, 0x1p23f)

INLINE FN(bits) FN(to_bits)(REAL x) { FN(bits) b; memcpy(&b, &x, sizeof b); return b; }
INLINE REAL FN(from_bits)(FN(bits) b) { REAL x; memcpy(&x, &b, sizeof x); return x; }

INLINE REAL FN(fma)(REAL a, REAL b, REAL c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return FM_DOUBLE ? (REAL)__builtin_fma(a, b, c) : (REAL)__builtin_fmaf((float)a, (float)b, (float)c);
#else
    return a * b + c;
#endif
}

INLINE REAL FN(sqrt)(REAL x) { return FM_DOUBLE ? (REAL)__builtin_sqrt(x) : (REAL)__builtin_sqrtf((float)x); }
INLINE REAL FN(abs)(REAL x) { return FM_DOUBLE ? (REAL)__builtin_fabs(x) : (REAL)__builtin_fabsf((float)x); }
INLINE REAL FN(copysign)(REAL x, REAL s)
{
    return FM_DOUBLE ? (REAL)__builtin_copysign(x, s) : (REAL)__builtin_copysignf((float)x, (float)s);
}

/* x = k ln 2 + r; returns exp(r) - 1, leaves k in *k and k, as an integer in the low bits, in *n. */
INLINE REAL FN(reduced_expm1)(REAL x, REAL *k, FN(bits) *n)
{
    REAL t = FN(fma)(x, R(0x1.71547652b82fep+0), SHIFT);
    *n = FN(to_bits)(t);
    *k = t - SHIFT;
    REAL r = FN(fma)(*k, -LN2_LO, FN(fma)(*k, -LN2_HI, x));
#if FM_DOUBLE
    REAL q = 2.5100666142918374e-08;
    q = FN(fma)(q, r, 2.7620453391695057e-07);
    q = FN(fma)(q, r, 2.7557267868262007e-06);
    q = FN(fma)(q, r, 2.480152052648056e-05);
    q = FN(fma)(q, r, 0.0001984126986343555);
    q = FN(fma)(q, r, 0.0013888888917710368);
    q = FN(fma)(q, r, 0.008333333333329985);
    q = FN(fma)(q, r, 0.04166666666662313);
    q = FN(fma)(q, r, 0.16666666666666669);
#else
    REAL q = 0.001392640047984433f;
    q = FN(fma)(q, r, 0.008363352682558865f);
    q = FN(fma)(q, r, 0.041666553310798285f);
    q = FN(fma)(q, r, 0.16666575943917947f);
#endif
    q = FN(fma)(q, r, R(0.5));
    return FN(fma)(r * r, q, r);
}

INLINE REAL FN(exp)(REAL x)
{
    x = (x > EXP_HI) ? EXP_HI : x;
    x = (x < EXP_LO) ? EXP_LO : x;
    REAL k;
    FN(bits) n;
    REAL y = R(1.0) + FN(reduced_expm1)(x, &k, &n);
    int small = k < EXP_SMALL;
    FN(bits) bias = small ? (FN(bits))(EXPONENT_BIAS + EXP_LIFT) : (FN(bits))(EXPONENT_BIAS - 1);
    REAL last = small ? EXP_DROP : R(2.0);
    return y * FN(from_bits)((n + bias) << MANTISSA) * last;
}

INLINE REAL FN(tanh)(REAL x)
{
    REAL a = FN(abs)(x) * R(2.0);
    a = (a > TANH_HI) ? TANH_HI : a;
    REAL k;
    FN(bits) n;
    REAL p = FN(reduced_expm1)(a, &k, &n);
    REAL two_k = FN(from_bits)((n + (FN(bits))EXPONENT_BIAS) << MANTISSA);
    REAL t = FN(fma)(two_k, p, two_k - R(1.0));
    REAL d = t + R(2.0), y = t / d;
#if !FM_DOUBLE
    /* Where t is small the rounding errors of t + 2 and of the quotient would make 2.4 ulp: put most of them right,
     * with 1 / d = 1 / 2 */
    REAL rest = FN(fma)(-y, d, t) - y * ((R(2.0) - d) + t);
    y = (t < R(2.0)) ? FN(fma)(rest, R(0.5), y) : y;
#endif
    return FN(copysign)(y, x);
}

INLINE REAL FN(log)(REAL x)
{
    int small = x < MIN_NORMAL;
    FN(bits) b = FN(to_bits)(small ? x * LOG_LIFT : x) + (FN(bits))(ONE_BITS - SQRT_HALF_BITS);
    REAL k = FN(from_bits)((b >> MANTISSA) | INTEGER_BITS) - (INTEGER_ONE + (REAL)EXPONENT_BIAS);
    k = small ? k - LOG_LIFT_BITS : k;
    b = (b & (((FN(bits))1 << MANTISSA) - 1)) + (FN(bits))SQRT_HALF_BITS;
    REAL f = FN(from_bits)(b) - R(1.0);
    REAL s = f / (R(2.0) + f);
    REAL z = s * s;
#if FM_DOUBLE
    REAL r = 0.1310072138350349;
    r = FN(fma)(r, z, 0.13267418596474884);
    r = FN(fma)(r, z, 0.15386290534658992);
    r = FN(fma)(r, z, 0.181817947008978);
    r = FN(fma)(r, z, 0.2222222240054776);
    r = FN(fma)(r, z, 0.2857142857076445);
    r = FN(fma)(r, z, 0.4000000000000094);
    r = FN(fma)(r, z, 0.6666666666666666);
#else
    REAL r = 0.29590317357160395f;
    r = FN(fma)(r, z, 0.39988550988935756f);
    r = FN(fma)(r, z, 0.6666668560327356f);
#endif
    REAL h = R(0.5) * f * f;
    REAL tail = FN(fma)(s, FN(fma)(z, r, h), k * LN2_LO);
    REAL y = FN(fma)(k, LN2_HI, f - (h - tail));
    REAL edge = (x == R(0.0)) ? -(REAL)INFINITY : (REAL)NAN;
    y = (x < (REAL)INFINITY) ? y : x;
    return (x > R(0.0)) ? y : edge;
}

/* 1 / (1 + exp(-z)), with the exponential of a number <= 0 so that it never overflows. */
INLINE REAL FN(logistic)(REAL z)
{
    REAL e = FN(exp)(-FN(abs)(z));
    return ((z < R(0.0)) ? e : R(1.0)) / (R(1.0) + e);
}

/* A probability clipped to [eps, 1 - eps] */
INLINE REAL FN(clip)(REAL p)
{
    p = (p > R(1.0) - EPSILON) ? R(1.0) - EPSILON : p;
    return (p < EPSILON) ? EPSILON : p;
}

/* -log of a probability clipped to [eps, 1 - eps] */
INLINE REAL FN(clip_log_loss)(REAL loss)
{
    const REAL most = FM_DOUBLE ? R(36.04365338911715) : R(15.942385);
    loss = (loss > most) ? most : loss;
    return (loss < EPSILON) ? EPSILON : loss;
}
