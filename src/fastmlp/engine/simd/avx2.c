/* AVX2 with FMA, where setup.py's flags for this file ask the compiler for them. */
#include "../compiler.h"

#if FM_GNU && defined(__AVX2__) && defined(__FMA__)
#define FM_VECTOR_BYTES 32
#define FM_REGISTERS 16
#define FM_FUSED 1
#endif
#define FM_ISA avx2
#include "instances.h"
