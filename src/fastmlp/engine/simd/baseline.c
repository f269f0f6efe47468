/* For every processor and compiler: multiply-adds are two operations, and round twice. */
#include "../compiler.h"

#if FM_GNU
#define FM_VECTOR_BYTES 16
#else
#define FM_VECTOR_BYTES (4 + 4 * FM_DOUBLE) /* one element */
#endif
#define FM_REGISTERS 16
#define FM_FUSED 0
#define FM_ISA baseline
#include "instances.h"
