#include <math.h>
#include <string.h>

#include "tables.h"

#if FM_HAVE_X86_TARGETS
#include <immintrin.h>
#pragma GCC target("avx2,fma")
#define FM_ISA avx2
#define FM_VECTOR_BYTES 32
#include "instances.h"
#else
typedef int fm_avx2_is_not_built;
#endif
