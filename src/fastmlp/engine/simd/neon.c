/* NEON, which every 64-bit ARM processor has. */
#include "../compiler.h"

#if FM_GNU && defined(__aarch64__) && defined(__ARM_FEATURE_FMA)
#define FM_VECTOR_BYTES 16
#define FM_REGISTERS 32
#define FM_FUSED 1
#endif
#define FM_ISA neon
#include "instances.h"
