/* Both precisions of one instruction set. The including file names it (FM_ISA), gives its vector width
 * (FM_VECTOR_BYTES) and sets the target pragma. */
#define FM_PASTE_(a, b) a##_##b
#define FM_PASTE(a, b) FM_PASTE_(a, b)

#define FM_DOUBLE 0
#define REAL float
#define FN(name) name##_f32
#include "precision_template.h"
#undef FM_DOUBLE
#undef REAL
#undef FN

#define FM_DOUBLE 1
#define REAL double
#define FN(name) name##_f64
#include "precision_template.h"

extern const fm_isa FM_PASTE(fm_isa, FM_ISA);
#define FM_STRING_(x) #x
#define FM_STRING(x) FM_STRING_(x)
const fm_isa FM_PASTE(fm_isa, FM_ISA) = {FM_STRING(FM_ISA), {&kernels_f32, &kernels_f64}};
