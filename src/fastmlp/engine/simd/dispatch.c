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

/* NULL: this build has none */
extern const fm_isa *const fm_isa_avx512, *const fm_isa_avx2, *const fm_isa_neon, *const fm_isa_baseline;

int fm_available_isas(const fm_isa **out)
{
    const fm_isa *const served[FM_N_ISAS] = {
        FM_CPU_HAS("avx512f") && FM_CPU_HAS("avx512vl") && FM_CPU_HAS("avx512bw") && FM_CPU_HAS("avx512dq") &&
        FM_CPU_HAS("fma") ? fm_isa_avx512 : NULL,
        FM_CPU_HAS("avx2") && FM_CPU_HAS("fma") ? fm_isa_avx2 : NULL,
        fm_isa_neon,
        fm_isa_baseline};
    int count = 0;
    for (int i = 0; i < FM_N_ISAS; i++)
        if (served[i]) out[count++] = served[i];
    return count;
}

int fm_blas_is_wider(void)
{
#if defined(__x86_64__) && FM_GNU
    return FM_CPU_HAS("avx");
#else
    return 1;
#endif
}
