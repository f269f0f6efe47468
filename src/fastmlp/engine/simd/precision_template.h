/* One precision of one instruction set: REAL, FN and FM_DOUBLE are set by instances.h. */
#include "math_template.h"
#include "vector_template.h"
#include "elementwise_template.h"
#include "loss_template.h"
#include "step_template.h"
#include "product_template.h"
#include "sparse_template.h"
#include "table_template.h"
#include "window_template.h"
#include "recurrent_template.h"
#include "norm_template.h"
#include "attribution_template.h"

static const fm_kernels FN(kernels) = {
    .portable = !FM_FUSED,
#define FM_FORWARD(name, hidden, in, value, slope) [FM_ACTIVATION_##name] = FN(forward_##name),
#define FM_PARAMETRIC(name, hidden, in, value, slope) [FM_ACTIVATION_##name] = FN(parametric_##name),
#define FM_BACKWARD(name, hidden, in, value, slope) [FM_ACTIVATION_##name] = FN(backward_##name),
#define FM_MAP_a(name)
#define FM_MAP_z(name) [FM_ACTIVATION_##name] = FN(map_##name),
#define FM_MAP(name, hidden, in, value, slope) FM_MAP_##in(name)
#define FM_LOSS(name, ...) [FM_LOSS_##name] = FN(loss_##name),
#define FM_STEP(name, n_states, n_memory, averages, prepare, update) [FM_OPTIMIZER_##name] = FN(step_##name),
#define FM_ADJUSTED_STEP(name, n_states, n_memory, averages, prepare, update) \
    [FM_OPTIMIZER_##name] = FN(adjusted_step_##name),
#define FM_SET_LAYER_KERNEL(name) .name = FN(name),
    .forward = {FM_ACTIVATIONS(FM_FORWARD) [FM_ACTIVATION_softmax] = FN(forward_softmax)},
    .parametric = {FM_ACTIVATIONS(FM_PARAMETRIC)},
    .backward = {FM_ACTIVATIONS(FM_BACKWARD)},
    .map = {FM_ACTIVATIONS(FM_MAP)},
    .dropout = FN(dropout),
    .loss = {FM_LOSSES(FM_LOSS) FM_ROW_LOSSES(FM_LOSS)},
    .step = {FM_OPTIMIZERS(FM_STEP)},
    .adjusted_step = {FM_OPTIMIZERS(FM_ADJUSTED_STEP)},
    .penalise = FN(penalise),
    .blend = FN(blend),
    .max_norm = FN(max_norm),
    .sum_parts = FN(sum_parts),
    .all_finite = FN(all_finite),
    .product = FN(product),
    .transpose = FN(transpose),
    .targets = {[FM_TARGET_CODE] = FN(targets_code), [FM_TARGET_BYTE] = FN(targets_byte),
                [FM_TARGET_REAL] = FN(targets_real)},
    .softmax_segments = FN(softmax_segments),
    .gather = {FN(gather_float), FN(gather_double), FN(gather_pixels)},
    .csr_product = {{FN(csr_product_i32_f32), FN(csr_product_i32_f64)},
                    {FN(csr_product_i64_f32), FN(csr_product_i64_f64)}},
    .csr_cut = {{FN(csr_cut_i32_f32), FN(csr_cut_i32_f64)}, {FN(csr_cut_i64_f32), FN(csr_cut_i64_f64)}},
    .csr_gradient = {{FN(csr_gradient_i32_f32), FN(csr_gradient_i32_f64)},
                     {FN(csr_gradient_i64_f32), FN(csr_gradient_i64_f64)}},
    FM_LAYER_KERNELS(FM_SET_LAYER_KERNEL)
    .ones = FN(ones),
    .logistic_slopes = FN(logistic_slopes),
    .seed = FN(seed),
    .softmax_seed = FN(softmax_seed),
    .path_points = FN(path_points),
    .add_weighted = FN(add_weighted),
    .times_path = FN(times_path),
    .multiply_adds = FN(multiply_adds),
};

#undef PICK
#undef ALL_LANES
