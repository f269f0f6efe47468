/* AVX-512, where setup.py's flags for this file ask the compiler for it. */
#include "../compiler.h"

#if FM_GNU && defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__FMA__)
#define FM_VECTOR_BYTES 64
#define FM_REGISTERS 32
#define FM_FUSED 1
#endif
#define FM_ISA avx512
#include "instances.h"
