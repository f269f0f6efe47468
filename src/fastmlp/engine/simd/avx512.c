#include <math.h>
#include <string.h>

#include "tables.h"

#if FM_HAVE_X86_TARGETS
#include <immintrin.h>
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,fma,prefer-vector-width=512")
#define FM_ISA avx512
#define FM_VECTOR_BYTES 64
#include "instances.h"
#else
typedef int fm_avx512_is_not_built;
#endif
