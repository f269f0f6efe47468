/* One precision of one instruction set: REAL, FN and FM_DOUBLE are set by instances.h. */
#include "math_template.h"
#include "vector_template.h"
#include "elementwise_template.h"
#include "product_template.h"
#include "sparse_template.h"

static const fm_kernels FN(kernels) = {
#define FM_FORWARD(name, hidden, value, slope) [FM_ACTIVATION_##name] = FN(forward_##name),
#define FM_BACKWARD(name, hidden, value, slope) [FM_ACTIVATION_##name] = FN(backward_##name),
#define FM_LOSS(name, link, target, mean, value, loss) [FM_LOSS_##name] = FN(loss_##name),
#define FM_STEP(name, n_states, rate, update) [FM_OPTIMIZER_##name] = FN(step_##name),
    .forward = {FM_ACTIVATIONS(FM_FORWARD) [FM_ACTIVATION_softmax] = FN(forward_softmax)},
    .backward = {FM_ACTIVATIONS(FM_BACKWARD)},
    .loss = {FM_LOSSES(FM_LOSS) [FM_LOSS_log_loss] = FN(loss_log_loss)},
    .step = {FM_OPTIMIZERS(FM_STEP)},
    .sum_parts = FN(sum_parts),
    .all_finite = FN(all_finite),
    .product = FN(product),
    .transpose = FN(transpose),
    .targets = {[FM_TARGET_CODE] = FN(targets_code), [FM_TARGET_BYTE] = FN(gather_uint8_t),
                [FM_TARGET_REAL] = FN(targets_real)},
    .gather = {FN(gather_float), FN(gather_double)},
    .csr_product = {{FN(csr_product_i32_f32), FN(csr_product_i32_f64)},
                    {FN(csr_product_i64_f32), FN(csr_product_i64_f64)}},
    .csr_cut = {{FN(csr_cut_i32_f32), FN(csr_cut_i32_f64)}, {FN(csr_cut_i64_f32), FN(csr_cut_i64_f64)}},
    .csr_gradient = {{FN(csr_gradient_i32_f32), FN(csr_gradient_i32_f64)},
                     {FN(csr_gradient_i64_f32), FN(csr_gradient_i64_f64)}},
    .multiply_adds = FN(multiply_adds),
#undef FM_FORWARD
#undef FM_BACKWARD
#undef FM_LOSS
#undef FM_STEP
};

#undef INLINE
#undef R
#undef EPSILON
#undef MANTISSA
#undef EXPONENT_BIAS
#undef SHIFT
#undef LN2_HI
#undef LN2_LO
#undef EXP_HI
#undef EXP_LO
#undef EXP_SMALL
#undef EXP_LIFT
#undef EXP_DROP
#undef TANH_HI
#undef SQRT_HALF_BITS
#undef ONE_BITS
#undef MIN_NORMAL
#undef LOG_LIFT
#undef LOG_LIFT_BITS
#undef INTEGER_BITS
#undef INTEGER_ONE
#undef LANES
#undef ALIGNED
#undef FOR_LANES
#undef AT_VECTOR
#undef FOR_VECTOR
#undef LANE_INDEX
#undef LANES_2
#undef LANES_4
#undef LANES_8
#undef LANES_16
#undef ALL_LANES
#undef UPPER
#undef LOWER
#undef SHUFFLE
#undef SWAP_BIT
#undef ACTIVATION_KERNELS
#undef LOSS_ELEMENT
#undef LOSS_KERNEL
#undef LOG_LOSS_ELEMENT
#undef STEP_ELEMENT
#undef STEP_KERNEL
#undef ROW_OF
#undef GATHER_KERNEL
#undef CSR_KERNELS
#undef WHOLE_GROUPS
#undef VECTOR_LANES
#undef MOST_VECTORS
#undef MOST_ROWS
#undef DOT_ROWS
#undef TILE_CASE
#undef TILE_CASES_4
#undef TILE_CASES_6
#undef TILE_CASES_8
#undef TILE_DISPATCH
#undef TILES
#undef WIDE_TILES
#undef LOAD_VECTOR
