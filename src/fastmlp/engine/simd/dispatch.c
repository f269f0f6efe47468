#include <math.h>

#include "tables.h"

#define ACTIVATION_ROW(name, hidden, in, value, slope) {#name, hidden},
const fm_activation_row fm_activation_rows[FM_N_ACTIVATIONS] = {FM_ACTIVATIONS(ACTIVATION_ROW) {"softmax", 0}};

#define ROW_LOSS_ROW(name, link, target, domain, options) {#name, FM_ACTIVATION_##link, target, domain, options},
#define LOSS_ROW(name, link, target, domain, options, mean, value, loss, slope) \
    ROW_LOSS_ROW(name, link, target, domain, options)
const fm_loss_row fm_loss_rows[FM_N_LOSSES] = {FM_LOSSES(LOSS_ROW) FM_ROW_LOSSES(ROW_LOSS_ROW)};
#define LOSS_NUMBER_ROW(name, initial, low, closed, high) {#name, initial, low, closed, high},
const fm_loss_number_row fm_loss_number_rows[FM_N_LOSS_NUMBERS] = {FM_LOSS_NUMBERS(LOSS_NUMBER_ROW)};

#define PREPARE(name, n_states, n_memory, averages, prepare, update) \
    static void prepare_##name(fm_update *u)                         \
    {                                                                \
        u->rate = u->learning_rate;                                  \
        u->keep = 1.0 - u->learning_rate * u->weight_decay;          \
        prepare                                                      \
    }
FM_OPTIMIZERS(PREPARE)
#define OPTIMIZER_ROW(name, n_states, n_memory, averages, prepare, update) \
    {#name, n_states, n_memory, averages, prepare_##name},
const fm_optimizer_row fm_optimizer_rows[FM_N_OPTIMIZERS] = {FM_OPTIMIZERS(OPTIMIZER_ROW)};
#define LAYER_KERNEL_NAME(name) #name,
const char *const fm_layer_kernel_names[FM_N_LAYER_KERNELS] = {FM_LAYER_KERNELS(LAYER_KERNEL_NAME)};

extern const fm_isa fm_isa_avx512, fm_isa_avx2, fm_isa_baseline;

int fm_available_isas(const fm_isa **out, int room)
{
    int count = 0;
#if FM_HAVE_X86_TARGETS
    __builtin_cpu_init();
    if (count < room && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma"))
        out[count++] = &fm_isa_avx512;
    if (count < room && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        out[count++] = &fm_isa_avx2;
#endif
    if (count < room) out[count++] = &fm_isa_baseline;
    return count;
}

int fm_blas_is_wider(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx") != 0;
#else
    return 1;
#endif
}
