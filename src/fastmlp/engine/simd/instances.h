/* Both precisions of one instruction set. The including file names it (FM_ISA). If the compiler serves it, the file also
 * gives the width of its vectors (FM_VECTOR_BYTES), how many of them there are (FM_REGISTERS), and whether a multiply-add
 * rounds once (FM_FUSED). */
#include <math.h>
#include <string.h>

#include "tables.h"

#define FM_PASTE_(a, b) a##_##b
#define FM_PASTE(a, b) FM_PASTE_(a, b)
extern const fm_isa *const FM_PASTE(fm_isa, FM_ISA);

#ifdef FM_VECTOR_BYTES

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define FM_DOUBLE 0
#define REAL float
#define FN(name) name##_float
#include "precision_template.h"
#undef FM_DOUBLE
#undef REAL
#undef FN

#define FM_DOUBLE 1
#define REAL double
#define FN(name) name##_double
#include "precision_template.h"

#define FM_STRING_(x) #x
#define FM_STRING(x) FM_STRING_(x)
static const fm_isa own = {FM_STRING(FM_ISA), {&kernels_float, &kernels_double}};
const fm_isa *const FM_PASTE(fm_isa, FM_ISA) = &own;

#else
const fm_isa *const FM_PASTE(fm_isa, FM_ISA) = NULL;
#endif
