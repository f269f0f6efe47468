/* exp, log, tanh, cos and relatives for REAL: no branches, no tables, so that loops over them vectorise.
 *
 * exp(x) = 2^k exp(r), k = round(x / ln 2), r = x - k ln 2 with ln 2 in two parts (Cody & Waite), and
 * exp(r) - 1 = r + r^2 q(r) with q a near-minimax (Chebyshev) polynomial on |r| <= ln(2) / 2.
 * log(x) = k ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)), and with s = f / (2 + f), z = s^2
 * log(1 + f) = f - (h - s (h + z R(z))), h = f^2 / 2, from log((1 + s) / (1 - s)) = 2 s + s^3 R(z) - ...
 * tanh(x) = t / (t + 2), t = exp(2 x) - 1.
 * sin(x) and cos(x) = sin(x + pi / 2) are those of r or their negatives, x = k pi / 2 + r with pi / 2 in parts, and
 * sin(r) = r + r^3 p(r^2), cos(r) = 1 - r^2 / 2 + r^4 q(r^2) on |r| <= pi / 4.
 * 1 - Phi(a) = exp(-a^2 / 2) t Q(2 t - 1), t = 1 / (1 + c a), a >= 0, Phi the normal distribution's, as
 * Press et al. (2007), section 6.2.2, do for erfc.
 * Coefficients: Chebyshev fits in 40 digits. Errors are tested: 2 ulp in float, 4 in double, for exp, log and tanh, and
 * for sin and cos of |x| <= 10^4; tests/engine/test_activations.py has those of the activations.
 */
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
#define SELU_SCALE R(1.0507009873554805)
#define SELU_ALPHA R(1.6732632423543772)
#define CLOSE_HI PICK(700.0, 87.0f)
#define MISH_HI R(25.0)
#define GELU_TANH_HI R(40.0) /* logistic(2 u) is 0 at its negative */
#define GELU_TANH_CLOSE_HI PICK(21.0, 9.9f) /* 2 u <= CLOSE_HI */
#define NORMAL_CLOSE_HI PICK(37.0, 13.0f) /* a^2 / 2 <= CLOSE_HI */
#define NORMAL_HI PICK(39.0, 14.5f) /* exp(-a^2 / 2) is 0 there */
#define NORMAL_SCALE PICK(0.2, 0.3f) /* c of Phi's t: where the fit needs the fewest coefficients */
#define HIGH_HALF PICK(~(uint64_t)0x7ffffff, ~(uint32_t)0xfff) /* what is left of a mantissa has an exact square */
#define SQRT_HALF_BITS PICK(0x3fe6a09e00000000u, 0x3f3504f3u)
#define ONE_BITS PICK(0x3ff0000000000000u, 0x3f800000u)
#define MIN_NORMAL PICK(0x1p-1022, 0x1p-126f)
#define LOG_LIFT PICK(0x1p54, 0x1p25f)
#define LOG_LIFT_BITS PICK(54.0, 25.0f)
#define QUARTERS_HI PICK(1e9, 1e5f) /* beyond |x| <= 10^4 errors are those of an argument wrong by half its last place */
#define INTEGER_BITS PICK(0x4330000000000000u, 0x4b000000u) /* 2^52 | k is the double 2^52 + k */
#define INTEGER_ONE PICK(0x1p52, 0x1p23f)

INLINE FN(bits) FN(to_bits)(REAL x) { FN(bits) b; memcpy(&b, &x, sizeof b); return b; }
INLINE REAL FN(from_bits)(FN(bits) b) { REAL x; memcpy(&x, &b, sizeof x); return x; }

INLINE REAL FN(fma)(REAL a, REAL b, REAL c)
{
#if FM_FUSED
    return FM_DOUBLE ? (REAL)fma(a, b, c) : (REAL)fmaf((float)a, (float)b, (float)c);
#else
    return a * b + c;
#endif
}

INLINE REAL FN(sqrt)(REAL x) { return FM_DOUBLE ? (REAL)sqrt(x) : (REAL)sqrtf((float)x); }
INLINE REAL FN(abs)(REAL x) { return FM_DOUBLE ? (REAL)fabs(x) : (REAL)fabsf((float)x); }
INLINE REAL FN(copysign)(REAL x, REAL s)
{
    return FM_DOUBLE ? (REAL)copysign(x, s) : (REAL)copysignf((float)x, (float)s);
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

/* exp(x) - 1, |x| <= TANH_HI */
INLINE REAL FN(bounded_expm1)(REAL x)
{
    REAL k;
    FN(bits) n;
    REAL p = FN(reduced_expm1)(x, &k, &n);
    REAL two_k = FN(from_bits)((n + (FN(bits))EXPONENT_BIAS) << MANTISSA);
    return FN(fma)(two_k, p, two_k - R(1.0));
}

/* exp(x) - 1, x <= 0; what comes out for other numbers means nothing */
INLINE REAL FN(expm1)(REAL x) { return FN(bounded_expm1)((x < -TANH_HI) ? -TANH_HI : x); }

/* exp(x), |x| <= CLOSE_HI, where 2^k and the result are normal numbers */
INLINE REAL FN(close_exp)(REAL x)
{
    REAL k;
    FN(bits) n;
    REAL p = FN(reduced_expm1)(x, &k, &n);
    REAL two_k = FN(from_bits)((n + (FN(bits))EXPONENT_BIAS) << MANTISSA);
    return FN(fma)(two_k, p, two_k);
}

INLINE REAL FN(tanh)(REAL x)
{
    REAL a = FN(abs)(x) * R(2.0);
    a = (a > TANH_HI) ? TANH_HI : a;
    REAL t = FN(bounded_expm1)(a);
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

/* x - k pi / 2, k an integer of at most 13 bits: the products with all parts of pi / 2 but the last are exact, or enter
 * a fused multiply-add */
INLINE REAL FN(minus_quarters)(REAL x, REAL k)
{
#if FM_DOUBLE
    REAL r = FN(fma)(k, -0x1.a308d31318p-41, FN(fma)(k, -0x1.921fb54442p+0, x));
    return FN(fma)(k, -0x1.8a2e03707344ap-81, r);
#elif FM_FUSED
    REAL r = FN(fma)(k, 0x1.777a5cp-25f, FN(fma)(k, -0x1.921fb6p+0f, x));
    return FN(fma)(k, 0x1.ee59dap-50f, r);
#else
    REAL r = (x - k * 0x1.92p+0f) - k * 0x1.fb4p-12f, third = k * 0x1.444p-24f, y = r - third;
    return y + ((((r - y) - third) - k * 0x1.68cp-39f) - k * 0x1.1a6264p-54f);
#endif
}

/* sin(x + m pi / 2). What is not a number, and infinity, give NaN; numbers beyond QUARTERS_HI count as 0. */
INLINE REAL FN(sin_and_quarters)(REAL x, FN(bits) m)
{
    x = (FN(abs)(x) <= QUARTERS_HI) ? x : x * R(0.0);
    REAL t = FN(fma)(x, R(0.6366197723675814), SHIFT);
    REAL r = FN(minus_quarters)(x, t - SHIFT), s = r * r;
    FN(bits) n = FN(to_bits)(t) + m;
#if FM_DOUBLE
    REAL p = 1.5917988979397433e-10, q = -1.138254464534925e-11;
    p = FN(fma)(p, s, -2.5051129896450186e-08);
    p = FN(fma)(p, s, 2.7557316093198405e-06);
    p = FN(fma)(p, s, -0.00019841269836740532);
    p = FN(fma)(p, s, 0.0083333333333309366);
    p = FN(fma)(p, s, -0.16666666666666665);
    q = FN(fma)(q, s, 2.0876145049413179e-09);
    q = FN(fma)(q, s, -2.755731726587808e-07);
    q = FN(fma)(q, s, 2.4801587298754401e-05);
    q = FN(fma)(q, s, -0.001388888888888739);
    q = FN(fma)(q, s, 0.041666666666666665);
#else
    REAL p = -0.000195876391f, q = 2.454768977e-05f;
    p = FN(fma)(p, s, 0.008332747105f);
    p = FN(fma)(p, s, -0.1666666466f);
    q = FN(fma)(q, s, -0.001388830187f);
    q = FN(fma)(q, s, 0.04166666465f);
#endif
    REAL sine = FN(fma)(r * s, p, r), cosine = FN(fma)(s * s, q, FN(fma)(R(-0.5), s, R(1.0)));
    FN(bits) odd = FN(to_bits)(cosine) & -(n & 1), even = FN(to_bits)(sine) & ((n & 1) - 1);
    return FN(from_bits)((odd | even) ^ ((n & 2) << (8 * sizeof(REAL) - 2)));
}

INLINE REAL FN(sin)(REAL x) { return FN(sin_and_quarters)(FN(abs)(x), 0) * FN(copysign)(R(1.0), x); }
INLINE REAL FN(cos)(REAL x) { return FN(sin_and_quarters)(x, 1); }

/* log(1 + x): the last term puts back what u = 1 + x has lost of x (Goldberg 1991, theorem 4, with the first-order term
 * in place of the quotient) */
INLINE REAL FN(log1p)(REAL x)
{
    REAL u = R(1.0) + x;
    return FN(log)(u) + (x - (u - R(1.0))) / u;
}

/* 1 / (1 + exp(-z)), with the exponential of a number <= 0 so that it never overflows. */
INLINE REAL FN(logistic)(REAL z)
{
    REAL e = FN(exp)(-FN(abs)(z));
    return ((z < R(0.0)) ? e : R(1.0)) / (R(1.0) + e);
}

/* ---- activations that take more than a line ----
 *
 * Where z times a vanishing factor has a limit, z is bounded to where that factor is 0 or, for slopes, of the size of
 * the smallest normal number: inf * 0 never arises.
 */
INLINE REAL FN(bounded)(REAL z, REAL low, REAL high)
{
    z = (z < low) ? low : z;
    return (z > high) ? high : z;
}

/* logistic(z), |z| <= CLOSE_HI; in *rest logistic(-z), which is accurate where 1 - logistic(z) is not */
INLINE REAL FN(logistic_and_rest)(REAL z, REAL *rest)
{
    REAL e = FN(close_exp)(-FN(abs)(z));
    REAL large = R(1.0) / (R(1.0) + e), small = e * large;
    *rest = (z < R(0.0)) ? large : small;
    return (z < R(0.0)) ? small : large;
}

/* max(z, 0) + log(1 + e), e = exp(-|z|); with s = e / (2 + e) <= 1 / 3 log(1 + e) = 2 s + s^3 R(s^2) as above */
INLINE REAL FN(softplus)(REAL z)
{
    REAL e = FN(exp)(-FN(abs)(z)), s = e / (R(2.0) + e), y = s * s;
#if FM_DOUBLE
    REAL r = 0.1563057780092285;
    r = FN(fma)(r, y, 0.07492143795550767);
    r = FN(fma)(r, y, 0.10845178394880015);
    r = FN(fma)(r, y, 0.11734279061303197);
    r = FN(fma)(r, y, 0.13335178631449257);
    r = FN(fma)(r, y, 0.1538454396486055);
    r = FN(fma)(r, y, 0.18181819897962714);
    r = FN(fma)(r, y, 0.2222222219823677);
    r = FN(fma)(r, y, 0.285714285716001);
    r = FN(fma)(r, y, 0.39999999999999525);
    r = FN(fma)(r, y, 0.6666666666666666);
#else
    REAL r = 0.2322432922402335f;
    r = FN(fma)(r, y, 0.21706575800880373f);
    r = FN(fma)(r, y, 0.28592357994302836f);
    r = FN(fma)(r, y, 0.3999970633192972f);
    r = FN(fma)(r, y, 0.6666666732052742f);
#endif
    return ((z > R(0.0)) ? z : R(0.0)) + FN(fma)(s * y, r, R(2.0) * s);
}

INLINE REAL FN(softsign)(REAL z)
{
    REAL a = FN(abs)(z);
    a = (a > R(1e30)) ? R(1e30) : a;
    return FN(copysign)(a / (R(1.0) + a), z);
}

/* relu6(z + 3) / 6 */
INLINE REAL FN(hard_sigmoid)(REAL z) { return FN(bounded)(z + R(3.0), R(0.0), R(6.0)) / R(6.0); }

INLINE REAL FN(hard_swish_slope)(REAL z)
{
    REAL slope = (z < R(3.0)) ? z / R(3.0) + R(0.5) : R(1.0);
    slope = (z <= R(-3.0)) ? R(0.0) : slope;
    return (z == z) ? slope : z;
}

INLINE REAL FN(silu)(REAL z) { return ((z < EXP_LO) ? EXP_LO : z) * FN(logistic)(z); }

/* s + z s (1 - s) */
INLINE REAL FN(silu_slope)(REAL z)
{
    z = FN(bounded)(z, -CLOSE_HI, CLOSE_HI);
    REAL rest, s = FN(logistic_and_rest)(z, &rest);
    return s * FN(fma)(z, rest, R(1.0));
}

/* mish is z tanh(softplus(z)), Misra (2020); with e = exp(z), n = e (e + 2) the factor is n / (n + 2), its derivative
 * 4 e (e + 1) / (n + 2)^2 */
INLINE REAL FN(mish)(REAL z)
{
    REAL e = FN(exp)((z > MISH_HI) ? MISH_HI : z), n = e * (e + R(2.0));
    return ((z < EXP_LO) ? EXP_LO : z) * (n / (n + R(2.0)));
}

INLINE REAL FN(mish_slope)(REAL z)
{
    z = FN(bounded)(z, -CLOSE_HI, MISH_HI);
    REAL e = FN(close_exp)(z), n = e * (e + R(2.0)), inverse = R(1.0) / (n + R(2.0));
    return FN(fma)(R(4.0) * z * (e * inverse), (e + R(1.0)) * inverse, n * inverse);
}

/* gelu_tanh is z (1 + tanh(u)) / 2 = z logistic(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3), Hendrycks & Gimpel (2016) */
INLINE REAL FN(gelu_tanh)(REAL z)
{
    REAL low = (z < -GELU_TANH_HI) ? -GELU_TANH_HI : z;
    REAL two_u = low * FN(fma)(low * low, R(0.07135481627260025), R(1.5957691216057308));
    return low * FN(logistic)(two_u);
}

INLINE REAL FN(gelu_tanh_slope)(REAL z)
{
    z = FN(bounded)(z, -GELU_TANH_CLOSE_HI, GELU_TANH_CLOSE_HI);
    REAL square = z * z, rest;
    REAL s = FN(logistic_and_rest)(z * FN(fma)(square, R(0.07135481627260025), R(1.5957691216057308)), &rest);
    return s * FN(fma)(z * rest, FN(fma)(square, R(0.21406444881780073), R(1.5957691216057308)), R(1.0));
}

/* a^2 - h exactly, h being the rounded square */
INLINE REAL FN(square_rest)(REAL a, REAL h)
{
#if FM_FUSED
    return FN(fma)(a, a, -h);
#else
    REAL high = FN(from_bits)(FN(to_bits)(a) & HIGH_HALF), low = a - high;
    return ((high * high - h) + R(2.0) * high * low) + low * low;
#endif
}

/* 1 - Phi(a), 0 <= a <= NORMAL_HI, about being exp(-h / 2), h the rounded a^2; in *e what it is without the rounding */
INLINE REAL FN(normal_tail)(REAL a, REAL h, REAL about, REAL *e)
{
    *e = FN(fma)(R(-0.5) * FN(square_rest)(a, h), about, about);
    REAL t = R(1.0) / FN(fma)(NORMAL_SCALE, a, R(1.0)), y = FN(fma)(R(2.0), t, R(-1.0));
#if FM_DOUBLE
    REAL q = -4.41237217159138e-10;
    q = FN(fma)(q, y, 1.5147404913905196e-09);
    q = FN(fma)(q, y, 2.1247874879866e-09);
    q = FN(fma)(q, y, -1.3308014802505018e-08);
    q = FN(fma)(q, y, -8.770472158384704e-09);
    q = FN(fma)(q, y, 8.686248600209433e-08);
    q = FN(fma)(q, y, 6.752637591289242e-08);
    q = FN(fma)(q, y, -5.540529789371981e-07);
    q = FN(fma)(q, y, -7.96254984628322e-07);
    q = FN(fma)(q, y, 3.336338889338173e-06);
    q = FN(fma)(q, y, 9.952577736059621e-06);
    q = FN(fma)(q, y, -1.1875173560424307e-05);
    q = FN(fma)(q, y, -0.00010897981415466314);
    q = FN(fma)(q, y, -0.00015957387478938293);
    q = FN(fma)(q, y, 0.0005986753540318698);
    q = FN(fma)(q, y, 0.004159013359483318);
    q = FN(fma)(q, y, 0.01382372774128087);
    q = FN(fma)(q, y, 0.033004073234102226);
    q = FN(fma)(q, y, 0.0627066313342599);
    q = FN(fma)(q, y, 0.09906112319399478);
    q = FN(fma)(q, y, 0.13307650057801135);
    q = FN(fma)(q, y, 0.1538386099500126);
#else
    REAL q = -4.098568234580317e-05f;
    q = FN(fma)(q, y, 7.801210835211963e-05f);
    q = FN(fma)(q, y, 0.0002805542199125432f);
    q = FN(fma)(q, y, -0.0005707311228645329f);
    q = FN(fma)(q, y, -0.002423191390962929f);
    q = FN(fma)(q, y, 0.001816291606799931f);
    q = FN(fma)(q, y, 0.027760256898242047f);
    q = FN(fma)(q, y, 0.08654968816081962f);
    q = FN(fma)(q, y, 0.16457948987932117f);
    q = FN(fma)(q, y, 0.22197061339917906f);
#endif
    return *e * (t * q);
}

/* z Phi(z) = max(z, 0) - |z| (1 - Phi(|z|)) */
INLINE REAL FN(gelu)(REAL z)
{
    REAL a = FN(abs)(z), e;
    a = (a > NORMAL_HI) ? NORMAL_HI : a;
    REAL h = a * a;
    return ((z > R(0.0)) ? z : R(0.0)) - a * FN(normal_tail)(a, h, FN(exp)(R(-0.5) * h), &e);
}

/* Phi(z) + z phi(z), phi the density */
INLINE REAL FN(gelu_slope)(REAL z)
{
    REAL a = FN(abs)(z), e;
    a = (a > NORMAL_CLOSE_HI) ? NORMAL_CLOSE_HI : a;
    REAL h = a * a, tail = FN(normal_tail)(a, h, FN(close_exp)(R(-0.5) * h), &e);
    return FN(fma)(FN(copysign)(a, z) * R(0.3989422804014327), e, (z < R(0.0)) ? tail : R(1.0) - tail);
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
