/* The concepts of the engine as tables, one row each, and the struct of kernels that every instruction set fills.
 *
 * A row generates the kernels in both precisions for every instruction set, the dispatch, the names that Python
 * accepts and the cases that the tests run over. Formulas are written for one element in terms of REAL and the
 * functions of math_template.h; FN(name) is that function in the precision at hand.
 */
#ifndef FASTMLP_TABLES_H
#define FASTMLP_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"
#include "tuning.h"

/* ROW(name, usable in hidden layers, what the slope is written in, f(z), dL/dz from d = dL/da and a = f(z), or z).
 * Where a says all about f', only a is kept; a slope in z is for functions that take a value twice. relu's comparison
 * has zero first so that NaN stays NaN; its derivative is a select so that 0 * inf never arises. At a kink the slope is
 * PyTorch's, for relu and relu6 0. Formulas are PyTorch's too:
 *   leaky_relu    Maas et al. (2013), 0.01 below 0       silu        Elfwing et al. (2018)
 *   elu           Clevert et al. (2016), alpha = 1       mish        Misra (2020)
 *   selu          Klambauer et al. (2017)                softplus    Dugas et al. (2001), nowhere cut off
 *   gelu, its tanh form   Hendrycks & Gimpel (2016)      softsign    Glorot & Bengio (2010)
 *   relu6         Krizhevsky (2010)                      hard_swish, hard_sigmoid   Howard et al. (2019) */
#define FM_ACTIVATIONS(ROW)                                                                        \
    ROW(identity,     1, a, z,                        d)                                           \
    ROW(logistic,     1, a, FN(logistic)(z),          d * (a * ((REAL)1 - a)))                     \
    ROW(tanh,         1, a, FN(tanh)(z),              d * ((REAL)1 - a * a))                       \
    ROW(relu,         1, a, ((REAL)0 > z) ? (REAL)0 : z, (a == (REAL)0) ? (REAL)0 : d)             \
    ROW(leaky_relu,   1, a, (z > (REAL)0) ? z : (REAL)0.01 * z,                                    \
        (a > (REAL)0) ? d : (REAL)0.01 * d)                                                        \
    ROW(relu6,        1, a, FN(bounded)(z, (REAL)0, (REAL)6),                                      \
        (a == (REAL)0 || a == (REAL)6) ? (REAL)0 : d)                                              \
    ROW(elu,          1, a, (z > (REAL)0) ? z : FN(expm1)(z),                                      \
        d * ((a > (REAL)0) ? (REAL)1 : a + (REAL)1))                                               \
    ROW(selu,         1, a, SELU_SCALE * ((z > (REAL)0) ? z : SELU_ALPHA * FN(expm1)(z)),          \
        d * ((a > (REAL)0) ? SELU_SCALE : a + SELU_SCALE * SELU_ALPHA))                            \
    ROW(softplus,     1, a, FN(softplus)(z),          d * -FN(expm1)(-a))                          \
    ROW(softsign,     1, a, FN(softsign)(z),                                                       \
        d * (((REAL)1 - FN(abs)(a)) * ((REAL)1 - FN(abs)(a))))                                     \
    ROW(hard_sigmoid, 1, a, FN(hard_sigmoid)(z),                                                   \
        (a == (REAL)0 || a == (REAL)1) ? (REAL)0 : (REAL)(1.0 / 6.0) * d)                          \
    ROW(hard_swish,   1, z, ((z <= (REAL)-3) ? -(REAL)0 : z) * FN(hard_sigmoid)(z),                \
        d * FN(hard_swish_slope)(z))                                                               \
    ROW(silu,         1, z, FN(silu)(z),              d * FN(silu_slope)(z))                       \
    ROW(gelu,         1, z, FN(gelu)(z),              d * FN(gelu_slope)(z))                       \
    ROW(gelu_tanh,    1, z, FN(gelu_tanh)(z),         d * FN(gelu_tanh_slope)(z))                  \
    ROW(mish,         1, z, FN(mish)(z),              d * FN(mish_slope)(z))                       \
    ROW(exp,          0, a, FN(exp)(z),               d * a)                                       \
    ROW(log,          0, a, FN(log)(z),               d * FN(exp)(-a))                             \
    ROW(cos,          0, z, FN(cos)(z),               d * -FN(sin)(z))

/* ROW(name, default, lowest value, whether that is allowed itself, bound above): the numbers that some losses take, of
 * quantiles one for each output. */
#define FM_LOSS_NUMBERS(ROW)                       \
    ROW(label_smoothing, 0.0, 0.0, 1, 1.0)         \
    ROW(focal_gamma,     2.0, 0.0, 1, INFINITY)    \
    ROW(huber_delta,     1.0, 0.0, 0, INFINITY)    \
    ROW(quantiles,       0.5, 0.0, 0, 1.0)         \
    ROW(tweedie_power,   1.5, 1.0, 0, 2.0)

/* ROW(name, output activation, kind of target, targets allowed, options that it takes, loss divided by the number of
 * outputs, p, which the next two share, loss, dL/dz); in them z is an output before its activation, y its target, q its
 * quantile, and the options have their names.
 * Log losses clip p to [eps, 1 - eps], as scikit-learn does; the binary one also takes 1 - p from the rounded p,
 * because lbfgs follows the loss to the last bit. Slopes are selects that leave NaN as it is, and 0 at a kink.
 *   squared_error   (y - p)^2 / 2
 *   poisson         half the Poisson deviance, y log(y / p) - y + p
 *   binary_log_loss -log(p) where y is 1, -log(1 - p) where it is 0
 *   absolute_error  |z - y|
 *   huber           r^2 / 2 for r = z - y up to delta, delta (|r| - delta / 2) beyond     Huber (1964)
 *   quantile        q (y - z) where y is above, (1 - q) (z - y) where it is below         Koenker & Bassett (1978)
 *   log_cosh        log(cosh(z - y)), -log(1 - tanh^2) / 2 near 0
 *   gamma           half the gamma deviance, y / p - log(y / p) - 1
 *   tweedie         half the Tweedie deviance of power k,
 *                   y^(2 - k) / ((1 - k) (2 - k)) - y p^(1 - k) / (1 - k) + p^(2 - k) / (2 - k)
 *   soft_binary_log_loss  log(1 + exp(z)) - y z, y anywhere in [0, 1]
 *   binary_focal    -(1 - p_t)^gamma log(p_t), p_t the probability of what y says         Lin et al. (2017)
 *   binary_hinge    max(0, 1 - s z), s = 1 where y is 1, -1 where it is 0 */
#define FM_LOSSES(ROW)                                                                             \
    ROW(squared_error,   identity, FM_TARGET_REAL, FM_ANY, 0, 1, z,                                \
        (REAL)0.5 * (p - y) * (p - y), p - y)                                                      \
    ROW(poisson,         exp,      FM_TARGET_REAL, FM_NOT_NEGATIVE, 0, 0, FN(exp)(z),              \
        ((y == (REAL)0) ? (REAL)0 : y * (FN(log)(y) - z)) - y + p, p - y)                          \
    ROW(binary_log_loss, logistic, FM_TARGET_BYTE, FM_ANY, 0, 0, FN(logistic)(z),                  \
        -FN(log)((y != (REAL)0) ? FN(clip)(p) : (REAL)1 - FN(clip)(p)), p - y)                     \
    ROW(absolute_error,  identity, FM_TARGET_REAL, FM_ANY, 0, 0, z - y,                            \
        FN(abs)(p), FN(bound)(p, (REAL)-1, (REAL)1, (REAL)0))                                      \
    ROW(huber,           identity, FM_TARGET_REAL, FM_ANY, FM_TAKES(huber_delta), 0, z - y,        \
        (FN(abs)(p) > huber_delta) ? huber_delta * (FN(abs)(p) - (REAL)0.5 * huber_delta)          \
                                   : (REAL)0.5 * p * p,                                            \
        FN(bound)(p, -huber_delta, huber_delta, huber_delta))                                      \
    ROW(quantile,        identity, FM_TARGET_REAL, FM_ANY, FM_TAKES(quantiles), 0, z - y,          \
        p * ((p < (REAL)0) ? -q : (REAL)1 - q), FN(bound)(p, -q, (REAL)1 - q, (REAL)0))            \
    ROW(log_cosh,        identity, FM_TARGET_REAL, FM_ANY, 0, 0, z - y,                            \
        FN(log_cosh)(p), FN(tanh)(p))                                                              \
    ROW(gamma,           exp,      FM_TARGET_REAL, FM_POSITIVE, 0, 0, y * FN(exp)(-z),             \
        p + (z - FN(log)(y)) - (REAL)1, (REAL)1 - p)                                               \
    ROW(tweedie,         exp,      FM_TARGET_REAL, FM_NOT_NEGATIVE, FM_TAKES(tweedie_power), 0,    \
        (y == (REAL)0) ? (REAL)0 : y * FN(exp)(((REAL)1 - tweedie_power) * z),                     \
        FN(tweedie)(y, z, p, tweedie_power), FN(exp)(((REAL)2 - tweedie_power) * z) - p)           \
    ROW(soft_binary_log_loss, logistic, FM_TARGET_BYTE, FM_ANY, FM_TAKES(label_smoothing), 0,      \
        FN(logistic)(z), ((z > (REAL)0) ? (REAL)1 - y : -y) * z + FN(softplus)(-FN(abs)(z)), p - y) \
    ROW(binary_focal,    logistic, FM_TARGET_BYTE, FM_ANY, FM_TAKES(focal_gamma), 0,               \
        (y != (REAL)0) ? z : -z, FN(focal_loss)(p, focal_gamma),                                   \
        FN(copysign)((REAL)1, y - (REAL)0.5) * FN(focal_slope)(p, focal_gamma))                    \
    ROW(binary_hinge,    identity, FM_TARGET_BYTE, FM_ANY, 0, 0,                                   \
        (REAL)1 - ((y != (REAL)0) ? z : -z), ((REAL)0 > p) ? (REAL)0 : p,                          \
        FN(bound)(p, (REAL)0, (y != (REAL)0) ? (REAL)-1 : (REAL)1, (REAL)0))

/* ROW(name, output activation, kind of target, targets allowed, options): losses of whole rows, with a kernel each.
 *   log_loss  -log(p_y), p = softmax(z)
 *   focal     -(1 - p_y)^gamma log(p_y)                        Lin et al. (2017), equation 4
 *   hinge     max(0, 1 + max of the other z - z_y)             Crammer & Singer (2001), equation 3 */
#define FM_ROW_LOSSES(ROW)                                                                         \
    ROW(log_loss, softmax,  FM_TARGET_CODE, FM_ANY, FM_TAKES(label_smoothing) | FM_TAKES(segments)) \
    ROW(focal,    softmax,  FM_TARGET_CODE, FM_ANY, FM_TAKES(focal_gamma))                         \
    ROW(hinge,    identity, FM_TARGET_CODE, FM_ANY, 0)

/* ROW(name, state arrays, scalars of memory, whether the parameters are averages between epochs, what the t-th step
 * computes once, update of w from the gradient g, state in s0 and s1).
 * Before the step's own computations rate is the learning rate lr, and keep, by which w is multiplied before the
 * update, 1 - lr * weight decay (Loshchilov & Hutter, 2019). m and v are averages of g and of g^2, with b1 and b2.
 *   sgd       v = mu v - lr g;  w += mu v - lr g (Nesterov) or v           Sutskever et al. (2013)
 *   adam      lr_t = lr sqrt(1 - b2^t) / (1 - b1^t);  w -= lr_t m / (sqrt(v) + eps)   Kingma & Ba (2015), section 2
 *   adamw     w -= lr m' / (sqrt(v') + eps),  m' = m / (1 - b1^t), v' = v / (1 - b2^t)   algorithm 1 there
 *   nadam     m' = (1 - mu_t) g / (1 - p_t) + mu_(t+1) m / (1 - p_(t+1)) in it,  mu_t = b1 (1 - 0.96^(0.004 t) / 2),
 *             p_t = mu_1 ... mu_t, which is its memory                     Dozat (2016)
 *   rmsprop   w -= lr g / (sqrt(v) + eps)                                  Tieleman & Hinton (2012)
 *   adagrad   s += g^2;  w -= lr g / (sqrt(s) + eps)                       Duchi et al. (2011)
 *   lion      w -= lr sign(b1 m + (1 - b1) g);  then m = b2 m + (1 - b2) g    Chen et al. (2023)
 *   schedule_free_adamw   d = g / (sqrt(v') + eps) + decay y;  z -= lr d;  x = (1 - c) x + c z,
 *             y = (1 - b1) z + b1 x,  c = r^2 / sum of r^2 with r the largest rate so far. w is y while an epoch lasts,
 *             x between epochs; s0 is z. Memory: that sum, and r           Defazio et al. (2024)
 *   gradient  keeps g and leaves w: loss_and_grad is a step of this optimizer */
#define FM_OPTIMIZERS(ROW)                                                                         \
    ROW(sgd, 1, 0, 0, {},                                                                          \
        { REAL v = momentum * s0[i] - rate * g; s0[i] = v;                                         \
          w[i] = w0 + (nesterov ? momentum * v - rate * g : v); })                                 \
    ROW(adam, 2, 0, 0,                                                                             \
        { u->rate = u->learning_rate * sqrt(1.0 - pow(u->beta_2, u->t)) / (1.0 - pow(u->beta_1, u->t)); }, \
        { REAL m = beta_1 * s0[i] + rest_1 * g; REAL v = beta_2 * s1[i] + rest_2 * (g * g);        \
          s0[i] = m; s1[i] = v; w[i] = w0 - rate * m / (FN(sqrt)(v) + epsilon); })                 \
    ROW(adamw, 2, 0, 0,                                                                            \
        { u->rate = u->learning_rate / (1.0 - pow(u->beta_1, u->t));                               \
          u->correction = 1.0 / sqrt(1.0 - pow(u->beta_2, u->t)); },                               \
        { REAL m = beta_1 * s0[i] + rest_1 * g; REAL v = beta_2 * s1[i] + rest_2 * (g * g);        \
          s0[i] = m; s1[i] = v; w[i] = w0 - rate * m / (FN(sqrt)(v) * correction + epsilon); })    \
    ROW(nadam, 2, 1, 0,                                                                            \
        { double mu = u->beta_1 * (1.0 - 0.5 * pow(0.96, 0.004 * u->t));                           \
          double next = u->beta_1 * (1.0 - 0.5 * pow(0.96, 0.004 * (u->t + 1.0)));                 \
          double product = mu * (u->t == 1.0 ? 1.0 : u->memory[0]);                                \
          u->memory[0] = product;                                                                  \
          u->rate = u->learning_rate * (1.0 - mu) / (1.0 - product);                               \
          u->second_rate = u->learning_rate * next / (1.0 - product * next);                       \
          u->correction = 1.0 / sqrt(1.0 - pow(u->beta_2, u->t)); },                               \
        { REAL m = beta_1 * s0[i] + rest_1 * g; REAL v = beta_2 * s1[i] + rest_2 * (g * g);        \
          s0[i] = m; s1[i] = v;                                                                    \
          w[i] = w0 - (rate * g + second_rate * m) / (FN(sqrt)(v) * correction + epsilon); })      \
    ROW(rmsprop, 1, 0, 0, {},                                                                      \
        { REAL v = beta_2 * s0[i] + rest_2 * (g * g); s0[i] = v;                                   \
          w[i] = w0 - rate * g / (FN(sqrt)(v) + epsilon); })                                       \
    ROW(adagrad, 1, 0, 0, {},                                                                      \
        { REAL s = s0[i] + g * g; s0[i] = s; w[i] = w0 - rate * g / (FN(sqrt)(s) + epsilon); })    \
    ROW(lion, 1, 0, 0, {},                                                                         \
        { REAL m = s0[i]; REAL d = beta_1 * m + rest_1 * g; s0[i] = beta_2 * m + rest_2 * g;       \
          REAL sign = (d > (REAL)0) ? (REAL)1 : d; sign = (d < (REAL)0) ? (REAL)-1 : sign;         \
          w[i] = w0 - rate * sign; })                                                              \
    ROW(schedule_free_adamw, 2, 2, 1,                                                              \
        { double most = (u->learning_rate > u->memory[1]) ? u->learning_rate : u->memory[1];       \
          double sum = u->memory[0] + most * most;                                                 \
          u->memory[0] = sum; u->memory[1] = most;                                                 \
          u->share = (sum > 0.0) ? most * most / sum : 0.0;                                        \
          u->second_rate = u->learning_rate * (1.0 - u->beta_1 * (1.0 - u->share));                \
          u->correction = 1.0 / sqrt(1.0 - pow(u->beta_2, u->t));                                  \
          u->keep = 1.0; u->decay = u->weight_decay; },                                            \
        { REAL z = s0[i]; REAL v = beta_2 * s1[i] + rest_2 * (g * g);                              \
          REAL d = g / (FN(sqrt)(v) * correction + epsilon) + decay * w0;                          \
          s0[i] = z - rate * d; s1[i] = v; w[i] = w0 + share * (z - w0) - second_rate * d; })      \
    ROW(gradient, 1, 0, 0, {}, { s0[i] = g; })

#define FM_MAX_STATES 2
#define FM_MAX_MEMORY 2

typedef enum { FM_TARGET_CODE, FM_TARGET_BYTE, FM_TARGET_REAL, FM_N_TARGETS } fm_target;
typedef enum { FM_ANY, FM_NOT_NEGATIVE, FM_POSITIVE } fm_domain;

#define FM_ENUM_ACTIVATION(name, hidden, in, value, slope) FM_ACTIVATION_##name,
enum { FM_ACTIVATIONS(FM_ENUM_ACTIVATION) FM_ACTIVATION_softmax, FM_N_ACTIVATIONS };
#define FM_ENUM_LOSS(name, ...) FM_LOSS_##name,
enum { FM_LOSSES(FM_ENUM_LOSS) FM_ROW_LOSSES(FM_ENUM_LOSS) FM_N_LOSSES };
#define FM_ENUM_LOSS_NUMBER(name, initial, low, closed, high) FM_OPTION_##name,
enum { FM_LOSS_NUMBERS(FM_ENUM_LOSS_NUMBER) FM_N_LOSS_NUMBERS, FM_OPTION_segments = FM_N_LOSS_NUMBERS };
#define FM_TAKES(option) (1 << FM_OPTION_##option)
#define FM_ENUM_OPTIMIZER(name, states, memory, averages, prepare, update) FM_OPTIMIZER_##name,
enum { FM_OPTIMIZERS(FM_ENUM_OPTIMIZER) FM_N_OPTIMIZERS };

typedef struct { const char *name; int hidden; } fm_activation_row;
typedef struct { const char *name; int activation; fm_target target; fm_domain domain; int options; } fm_loss_row;
typedef struct { const char *name; double initial, low; int closed; double high; } fm_loss_number_row;

/* What a loss reads besides outputs and targets. */
typedef struct {
    double numbers[FM_N_LOSS_NUMBERS];
    const void *quantiles;               /* REAL (n,), one for each output, aligned and readable up to a whole group */
    const ptrdiff_t *offsets;            /* (n_segments + 1,): where the blocks of outputs begin, and n */
    ptrdiff_t n_segments;
} fm_loss_options;

/* What an optimizer's update reads, the same for all weights of a step. */
typedef struct {
    double learning_rate, t;
    double alpha, inverse_weight;        /* g = (grad + alpha w) * inverse_weight */
    double momentum, nesterov, beta_1, beta_2, epsilon, weight_decay;
    double clip_value;                   /* the largest |g|, infinity for none */
    /* the table's prepare column, computed once a step */
    double rate, second_rate, correction, share, keep, decay;
    double memory[FM_MAX_MEMORY];        /* what it carries from step to step, zero before the first */
} fm_update;

typedef struct {
    const char *name;
    int n_states, n_memory, averages;
    void (*prepare)(fm_update *u);
} fm_optimizer_row;

extern const fm_activation_row fm_activation_rows[FM_N_ACTIVATIONS];
extern const fm_loss_row fm_loss_rows[FM_N_LOSSES];
extern const fm_loss_number_row fm_loss_number_rows[FM_N_LOSS_NUMBERS];
extern const fm_optimizer_row fm_optimizer_rows[FM_N_OPTIMIZERS];

/* A sparse matrix in CSR; index and value types are chosen by the kernel that gets it. */
typedef struct { const void *indptr, *indices, *data; } fm_csr;

/* Codes of a categorical table: row i is codes + (index ? index[i] : first + i) * n_codes; codes points at the first
 * column that a layer reads. A negative code is no level. */
typedef struct { const int32_t *codes; ptrdiff_t n_codes; const ptrdiff_t *index; ptrdiff_t first; } fm_codes;

/* The kernels of one precision on one instruction set. void * is REAL *.
 * Matrices of activations and deltas are row-major with a row stride of ld elements, a whole number of groups of
 * FM_ROW_BYTES; what lies behind column n up to the next whole group belongs to the kernels, its values mean nothing.
 * Such matrices and biases are aligned to FM_ROW_BYTES and biases are readable up to a whole group. */
#define FM_ROW_BYTES 64

/* What a product ends in. forward: z (rows, ld) = f(z + operand), operand the bias. backward: d (rows, ld) =
 * d * f'(z), operand (rows, ld) = f(z), or z where the slope is written in it. parametric: z = s + a (f(s) - s), s = z + b,
 * operand (2, ld) = b, a. All but softmax work on elements: z may begin at any whole vector of its rows. */
typedef void (*fm_epilogue)(void *z, const void *operand, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld);
/* out (rows, ld) = f(z) */
typedef void (*fm_map)(void *out, const void *z, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld);
/* out (rows, ld) = in, a share of threshold / 2^16 of its elements times 0 and all others times scale; out may be in.
 * Which they are is a function of the key, the row's number, counted from first, and the column. */
typedef void (*fm_dropout)(void *out, const void *in, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, uint64_t key,
                           ptrdiff_t first, uint32_t threshold, double scale);
#define FM_DROPOUT_COLUMNS 16 /* that take the same half of their random words: a multiple of every vector's lanes */
/* z (rows, ld) becomes the delta w * dL/d(z + bias), row_loss (rows,) = w * loss. weight may be NULL */
typedef void (*fm_loss)(void *z, const void *bias, const void *y, const double *weight, double *row_loss,
                        ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options);
/* y (rows, ld) = the targets of the given rows, indexed as by fm_rows; class codes are (., n_segments) and become
 * one-hot blocks in rows that are zero behind column n */
typedef void (*fm_targets)(void *y, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                           ptrdiff_t n, ptrdiff_t ld, const fm_loss_options *options);
/* z (rows, ld) = softmax(z + bias) of each block of outputs; offsets and n_segments as in fm_loss_options */
typedef void (*fm_softmax_segments)(void *z, const void *bias, ptrdiff_t rows, ptrdiff_t ld, const ptrdiff_t *offsets,
                                    ptrdiff_t n_segments);
/* one optimizer step on count weights; returns the sum of w^2 before it */
typedef double (*fm_step)(void *w, const void *grad, void *const *state, ptrdiff_t count, const fm_update *u);
/* grad (count,) = g, as a step sees it; *norm = the sum of g^2; returns the sum of w^2 */
typedef double (*fm_penalise)(void *grad, const void *w, ptrdiff_t count, const fm_update *u, double *norm);
/* w (count,) += share * (z - w) */
typedef void (*fm_blend)(void *w, const void *z, ptrdiff_t count, double share);
/* of count columns of w (rows, n), from the first-th on, those longer than `most` are scaled to it; FM_COLUMNS of them
 * at a time, each summed in ascending order */
typedef void (*fm_max_norm)(void *w, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t first, ptrdiff_t count, double most);
#define FM_COLUMNS 32
/* x (rows, ld) = the given rows of source (., n); index NULL: rows first, first + 1, ... */
typedef void (*fm_rows)(void *x, const void *source, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                        ptrdiff_t n, ptrdiff_t ld);
/* out (count,) = the sum of `parts` arrays, `stride` elements apart, in their order */
typedef void (*fm_sum_parts)(void *out, const void *first, ptrdiff_t stride, ptrdiff_t parts, ptrdiff_t count);
/* 1 if none of count elements is NaN or infinite */
typedef int (*fm_all_finite)(const void *x, ptrdiff_t count);
/* c (m, n) = finish([c +] a b, operand), see product_template.h; finish may be NULL and works on elements; operand_ld is
 * the row stride of its operand, ldc, or 0: one row for all */
typedef void (*fm_product)(void *c, ptrdiff_t ldc, const void *a, ptrdiff_t a_row, ptrdiff_t a_k, const void *b,
                           ptrdiff_t ldb, ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, int accumulate,
                           fm_epilogue finish, const void *operand, ptrdiff_t operand_ld);
/* out (n, ld) = w (rows, w_ld) transposed, n columns of it; strides may be negative */
typedef void (*fm_transpose)(void *out, ptrdiff_t ld, const void *w, ptrdiff_t w_ld, ptrdiff_t rows, ptrdiff_t n);
/* z (rows, ld) = X w for the given rows of X */
typedef void (*fm_csr_product)(void *z, const fm_csr *x, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                               const void *w, ptrdiff_t n, ptrdiff_t ld);
/* cuts (rows, n_cuts): where, counted from the start of a row, its columns reach 0, width, 2 width, ...; column indices
 * ascend in each row */
typedef void (*fm_csr_cut)(int32_t *cuts, ptrdiff_t n_cuts, ptrdiff_t width, const fm_csr *x, const ptrdiff_t *index,
                           ptrdiff_t first, ptrdiff_t rows);
/* grad (stop - start, n) = [grad +] X[:, start:stop]^T d; cuts points at the cut at column start */
typedef void (*fm_csr_gradient)(void *grad, const fm_csr *x, const ptrdiff_t *index, ptrdiff_t first, ptrdiff_t rows,
                                const int32_t *cuts, ptrdiff_t n_cuts, ptrdiff_t start, ptrdiff_t stop, const void *d,
                                ptrdiff_t n, ptrdiff_t ld, int accumulate);

/* ---- layers over the columns of a table (table_template.h) ----
 *
 * Rows may begin anywhere, and nothing behind their last column is read or written. Gradients add in ascending order of
 * rows; accumulate 0 overwrites. */

/* out (rows, n) = x s, s (n,); out may be x */
typedef void (*fm_scale)(void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *s, ptrdiff_t rows,
                         ptrdiff_t n);
/* grad (n,) = [grad +] sum over rows of x d */
typedef void (*fm_scale_gradient)(void *grad, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t d_ld,
                                  ptrdiff_t rows, ptrdiff_t n, int accumulate);
/* parametric activations x + a (f(x) - x), a (n,):
 * out (rows, n) = x + a (f - x); out may be x or f */
typedef void (*fm_mix)(void *out, ptrdiff_t ld, const void *x, ptrdiff_t x_ld, const void *f, ptrdiff_t f_ld,
                       const void *a, ptrdiff_t rows, ptrdiff_t n);
/* out (rows, n), which holds d f'(x), = d + a (out - d) */
typedef void (*fm_mix_slope)(void *out, ptrdiff_t out_ld, const void *d, ptrdiff_t d_ld, const void *a, ptrdiff_t rows,
                             ptrdiff_t n);
/* grad (n,) = [grad +] sum over rows of d (f - x) */
typedef void (*fm_mix_gradient)(void *grad, const void *d, ptrdiff_t d_ld, const void *x, ptrdiff_t x_ld, const void *f,
                                ptrdiff_t f_ld, ptrdiff_t rows, ptrdiff_t n, int accumulate);
/* Levels are counted through all columns: offsets (n_columns,), or longer, are the columns' first levels, ascending.
 * z (rows, n) += the rows of w (levels, n) that the codes name, column by column */
typedef void (*fm_onehot_add)(void *z, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets,
                              ptrdiff_t n_columns, const void *w, ptrdiff_t rows, ptrdiff_t n);
/* grad (stop - start, n) = [grad +] those rows of the gradient of w, d (rows, n) */
typedef void (*fm_onehot_gradient)(void *grad, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                                   const void *d, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t start,
                                   ptrdiff_t stop, int accumulate);
/* out (rows, n_columns * width) = the rows of table (levels, width) that the codes name side by side, 0 for no level */
typedef void (*fm_embed)(void *out, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                         const void *table, ptrdiff_t width, ptrdiff_t rows);
/* grad (stop - start, width) = [grad +] those rows of the gradient of table, d (rows, n_columns * width) */
typedef void (*fm_embed_gradient)(void *grad, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                                  const void *d, ptrdiff_t ld, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t start,
                                  ptrdiff_t stop, int accumulate);
/* out (rows, levels) = on (levels,) for the levels that the codes name, off (levels,) for all others; offsets
 * (n_columns + 1,) end in the number of levels */
typedef void (*fm_expand)(void *out, ptrdiff_t ld, const fm_codes *codes, const ptrdiff_t *offsets, ptrdiff_t n_columns,
                          const void *on, const void *off, ptrdiff_t rows);
/* Periodic embedding of numbers, the "PL" of Gorishniy et al. (2022) with a phase, as in Holzmueller et al. (2024):
 * out (rows, n_columns * width), out_jm = c_m + sum over f of V_mf cos(2 pi w_f x_j + b_f); p (n_columns,
 * 2 k + width k + width) has w (k,), b (k,), V (width, k) and c (width,) of each column */
typedef void (*fm_periodic)(void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *p,
                            ptrdiff_t n_columns, ptrdiff_t k, ptrdiff_t width, ptrdiff_t rows);
/* grad = [grad +] rows start to stop of the gradient of p, d (rows, n_columns * width); x, d and p are those of all
 * columns */
typedef void (*fm_periodic_gradient)(void *grad, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t ld,
                                     const void *p, ptrdiff_t k, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t start,
                                     ptrdiff_t stop, int accumulate);
/* dx (rows, n_columns) += dL/dx */
typedef void (*fm_periodic_input_gradient)(void *dx, ptrdiff_t dx_ld, const void *x, ptrdiff_t x_ld, const void *d,
                                           ptrdiff_t ld, const void *p, ptrdiff_t n_columns, ptrdiff_t k,
                                           ptrdiff_t width, ptrdiff_t rows);
/* Piecewise-linear embedding of numbers, version B of Gorishniy et al. (2022; 2024, TabM):
 * out (rows, n_columns * width), out_jm = w_m x_j + b_m + sum over t of PLE_t(x_j) V_tm,
 * PLE_t(x) = (x - e_t) / (e_(t+1) - e_t), at least 0 in all bins but the first, at most 1 in all but the last.
 * edges (n_columns, bins + 1) ascend strictly in each row; a column with fewer bins has infinity behind its last edge.
 * p (n_columns, (2 + bins) width) has w (width,), b (width,) and V (bins, width) of each column; rows of V behind the
 * last bin mean nothing, and their gradient is 0. sums are those of piecewise_sums; NULL: they are found anew */
typedef void (*fm_piecewise)(void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *edges,
                             const void *p, const void *sums, ptrdiff_t n_columns, ptrdiff_t bins, ptrdiff_t width,
                             ptrdiff_t rows);
/* sums (n_columns, bins, width): for each bin the sum of the rows of V before it */
typedef void (*fm_piecewise_sums)(void *sums, const void *p, ptrdiff_t n_columns, ptrdiff_t bins, ptrdiff_t width);
/* grad = [grad +] rows start to stop of the gradient of p; x, d and edges are those of all columns. The deltas of the
 * rows in a bin are added first, then the bins from the last one down. */
typedef void (*fm_piecewise_gradient)(void *grad, const void *x, ptrdiff_t x_ld, const void *d, ptrdiff_t ld,
                                      const void *edges, ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows,
                                      ptrdiff_t start, ptrdiff_t stop, int accumulate);
/* dx (rows, n_columns) += dL/dx, at an edge that of the bin that begins there */
typedef void (*fm_piecewise_input_gradient)(void *dx, ptrdiff_t dx_ld, const void *x, ptrdiff_t x_ld, const void *d,
                                            ptrdiff_t ld, const void *edges, const void *p, ptrdiff_t n_columns,
                                            ptrdiff_t bins, ptrdiff_t width, ptrdiff_t rows);

/* ---- windows that slide over planes (window_template.h) ----
 *
 * A row is (channels, in[0], in[1]), its outputs (., out[0], out[1]); positions are those of the outputs, counted
 * through rows and columns. Pooling has neither padding nor dilation. */

typedef struct {
    ptrdiff_t channels;         /* of the input; of a convolution in groups those of one group */
    ptrdiff_t in[2], out[2];    /* heights and widths */
    ptrdiff_t size[2], stride[2], dilation[2];
    ptrdiff_t before[2];        /* zeros above, and to the left */
} fm_window;

/* u (stop - start, ld) = what elements start to stop of the window, k = (channel, i, j), see at `count` positions from
 * the first-th on */
typedef void (*fm_unfold)(void *u, ptrdiff_t ld, const void *x, const fm_window *w, ptrdiff_t start, ptrdiff_t stop,
                          ptrdiff_t first, ptrdiff_t count);
/* x += each element of u (stop - start, ld) where unfold takes it from */
typedef void (*fm_fold)(void *x, const void *u, ptrdiff_t ld, const fm_window *w, ptrdiff_t start, ptrdiff_t stop,
                        ptrdiff_t first, ptrdiff_t count);
/* out (channels, out_height, out_width) = x (channels, height, width) from (top, left) on and 0 elsewhere; planes of x
 * are x_plane elements apart; rows and columns for which there is no room are left out */
typedef void (*fm_frame)(void *out, ptrdiff_t out_height, ptrdiff_t out_width, const void *x, ptrdiff_t x_plane,
                         ptrdiff_t channels, ptrdiff_t height, ptrdiff_t width, ptrdiff_t top, ptrdiff_t left);
/* u (rows, ld): row k = count elements of x from shifts[k] on */
typedef void (*fm_shifted)(void *u, ptrdiff_t ld, const void *x, const ptrdiff_t *shifts, ptrdiff_t rows,
                           ptrdiff_t count);
/* z (channels, positions) = values (channels,) */
typedef void (*fm_spread)(void *z, const void *values, ptrdiff_t channels, ptrdiff_t positions);
/* sums (channels,) += the sums of the rows of d (channels, positions), each over LANES virtual lanes */
typedef void (*fm_plane_sums)(void *sums, const void *d, ptrdiff_t channels, ptrdiff_t positions);
/* out = the greatest element in each window, places = where in its plane the first such is; NULL: not wanted */
typedef void (*fm_max_pool)(void *out, int32_t *places, const void *x, const fm_window *w);
/* x += d at places */
typedef void (*fm_max_unpool)(void *x, const int32_t *places, const void *d, const fm_window *w);
/* out = the mean of each window */
typedef void (*fm_mean_pool)(void *out, const void *x, const fm_window *w);
/* x += d / the window's area in each window */
typedef void (*fm_mean_unpool)(void *x, const void *d, const fm_window *w);

/* How rows (channels, height, width) are changed in training. */
typedef struct {
    ptrdiff_t channels, height, width;
    ptrdiff_t shift[2];         /* the most rows and columns that planes are moved by, less than height and width + 1 */
    int flip[2];                /* whether half of the rows are turned upside down, and half mirrored */
    double noise;               /* standard deviation of normal numbers that are added */
} fm_augmentation;
/* x, a row, moved, flipped and noisy: the first three as a random word says, noise as key does; room has a row */
typedef void (*fm_augment)(void *x, void *room, uint64_t word, uint64_t key, const fm_augmentation *a);

/* ---- cells of recurrent layers (recurrent_template.h) ---- */

/* out (count,) += share * x */
typedef void (*fm_add_share)(void *out, const void *x, double share, ptrdiff_t count);
/* A step: the states h (rows, units) from the sums z (rows, 4, units) and the states before, which may be h itself;
 * cells (rows, units) are an LSTM's. Own, the rows' memories, get what backward reads `at` elements on; NULL: nothing is
 * kept. */
typedef void (*fm_cell)(void *h, const void *before, void *cells, const void *z, void *const *own, ptrdiff_t at,
                        ptrdiff_t rows, ptrdiff_t units);
typedef fm_cell fm_gru, fm_lstm;
/* A step back: d (rows, 4, units) = dL/dz; with `keep` the memories get it where the gates are. dh and dcells (rows, units) become those of the step before, dh without what
 * comes through the sums. A step's memory has `size` elements and follows that of the step before; at 0 there is none. */
typedef void (*fm_cell_back)(void *dh, void *dcells, void *d, void *const *own, ptrdiff_t at, ptrdiff_t size,
                             ptrdiff_t rows, ptrdiff_t units, int keep);
typedef fm_cell_back fm_gru_back, fm_lstm_back;

/* ---- layers that normalise rows or add them (norm_template.h) ---- */

/* z = s u + b of a row x (channels, positions), u = (x - mean) / sqrt(variance + epsilon), s and b (channels,); own, or
 * NULL, gets u and behind it 1 / sqrt(variance + epsilon) */
typedef void (*fm_norm)(void *z, void *own, const void *x, const void *s, const void *b, ptrdiff_t channels,
                        ptrdiff_t positions, double epsilon);
/* out = dL/dx of a row, d = dL/dz */
typedef void (*fm_norm_back)(void *out, const void *own, const void *d, const void *s, ptrdiff_t channels,
                             ptrdiff_t positions);
/* sums (channels,) += the sums of d x of the rows of d and x (channels, positions), each over LANES virtual lanes */
typedef void (*fm_plane_products)(void *sums, const void *d, const void *x, ptrdiff_t channels, ptrdiff_t positions);
/* out (rows, n) = x + y; out may be x or y */
typedef void (*fm_add_rows)(void *out, ptrdiff_t out_ld, const void *x, ptrdiff_t x_ld, const void *y, ptrdiff_t y_ld,
                            ptrdiff_t rows, ptrdiff_t n);

/* ROW(name): the kernels of layers over tables, of windows, of cells and of rows, each of the type fm_ and its name */
#define FM_LAYER_KERNELS(ROW) \
    ROW(scale) ROW(scale_gradient) ROW(mix) ROW(mix_slope) ROW(mix_gradient)                 \
    ROW(onehot_add) ROW(onehot_gradient) ROW(embed) ROW(embed_gradient) ROW(expand)          \
    ROW(periodic) ROW(periodic_gradient) ROW(periodic_input_gradient)                        \
    ROW(piecewise) ROW(piecewise_sums) ROW(piecewise_gradient) ROW(piecewise_input_gradient) \
    ROW(unfold) ROW(fold) ROW(frame) ROW(shifted) ROW(spread) ROW(plane_sums)                \
    ROW(max_pool) ROW(max_unpool) ROW(mean_pool) ROW(mean_unpool)                            \
    ROW(add_share) ROW(gru) ROW(gru_back) ROW(lstm) ROW(lstm_back)                           \
    ROW(norm) ROW(norm_back) ROW(plane_products) ROW(add_rows) ROW(augment)
#define FM_ENUM_LAYER_KERNEL(name) FM_LAYER_KERNEL_##name,
enum { FM_LAYER_KERNELS(FM_ENUM_LAYER_KERNEL) FM_N_LAYER_KERNELS };
#define FM_LAYER_KERNEL(name) fm_##name name;
extern const char *const fm_layer_kernel_names[FM_N_LAYER_KERNELS];

/* ---- gradients with respect to inputs (attribution_template.h) ---- */

/* out (count,) = 1 */
typedef void (*fm_ones)(void *out, ptrdiff_t count);
/* slopes (count,) = f(z) (1 - f(z)), f the logistic function, from z: where f(z) is near 1, 1 - f(z) has lost its
 * digits */
typedef void (*fm_logistic_slopes)(void *slopes, const void *z, ptrdiff_t count);
/* delta (rows, ld) = dp_k/dz, slopes (rows, ld) those of activations that work on elements; targets (rows,) are the
 * rows' own k, or NULL */
typedef void (*fm_seed)(void *delta, const void *slopes, const ptrdiff_t *targets, ptrdiff_t k, ptrdiff_t rows,
                        ptrdiff_t ld);
/* the same from p (rows, ld), the softmax of blocks of outputs that begin at offsets; behind these is their number */
typedef void (*fm_softmax_seed)(void *delta, const void *p, const ptrdiff_t *targets, ptrdiff_t k, ptrdiff_t rows,
                                ptrdiff_t ld, const ptrdiff_t *offsets);
/* points (rows, n) = baseline + node (x - baseline); baseline_ld 0: one row for all */
typedef void (*fm_path_points)(void *points, ptrdiff_t ld, const void *x, ptrdiff_t x_ld, const void *baseline,
                               ptrdiff_t baseline_ld, double node, ptrdiff_t rows, ptrdiff_t n);
/* sums (count,) += weight * values */
typedef void (*fm_add_weighted)(double *sums, const void *values, double weight, ptrdiff_t count);
/* out (rows, count, n) = (x - baseline) * means, means (rows, count, n) */
typedef void (*fm_times_path)(void *out, const double *means, const void *x, ptrdiff_t x_ld, const void *baseline,
                              ptrdiff_t baseline_ld, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t n);

typedef struct {
    int portable; /* written for no instruction set: multiply-adds round twice */
    fm_epilogue forward[FM_N_ACTIVATIONS];
    fm_epilogue parametric[FM_N_ACTIVATIONS]; /* softmax has none */
    fm_epilogue backward[FM_N_ACTIVATIONS];
    fm_map map[FM_N_ACTIVATIONS]; /* NULL where the slope is written in a */
    fm_dropout dropout;
    fm_loss loss[FM_N_LOSSES];
    fm_step step[FM_N_OPTIMIZERS];
    fm_step adjusted_step[FM_N_OPTIMIZERS]; /* with clip_value and keep, which the others ignore */
    fm_penalise penalise;
    fm_blend blend;
    fm_max_norm max_norm;
    fm_sum_parts sum_parts;
    fm_all_finite all_finite;
    fm_product product;
    fm_transpose transpose;
    fm_targets targets[FM_N_TARGETS];
    fm_softmax_segments softmax_segments;
    fm_rows gather[3];                  /* from float, from double, from bytes, which are divided by 255 */
    fm_csr_product csr_product[2][2];   /* [64-bit indices?][double values?] */
    fm_csr_cut csr_cut[2][2];
    fm_csr_gradient csr_gradient[2][2];
    FM_LAYER_KERNELS(FM_LAYER_KERNEL)
    fm_ones ones;
    fm_logistic_slopes logistic_slopes;
    fm_seed seed;
    fm_softmax_seed softmax_seed;
    fm_path_points path_points;
    fm_add_weighted add_weighted;
    fm_times_path times_path;
    /* runs FM_PEAK_FLOPS * iterations multiply-adds in registers, for the measurement of a core's peak */
    double (*multiply_adds)(ptrdiff_t iterations);
} fm_kernels;

#define FM_PEAK_FLOPS 1536  /* 12 accumulators of 128 elements: a multiple of every vector width */

typedef struct { const char *name; const fm_kernels *kernels[2]; /* float, double */ } fm_isa;

/* The instruction sets that this build has and this processor can run, best first; returns their number. */
enum { FM_N_ISAS = 4 };
int fm_available_isas(const fm_isa **out);
/* Whether BLAS may have wider vectors or better tiles than the portable kernels: not on x86-64 without AVX. */
int fm_blas_is_wider(void);

#endif
