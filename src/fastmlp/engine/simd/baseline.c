/* What the compiler's own default target can do: SSE2 on x86-64, NEON with FMA on arm64. */
#include <math.h>
#include <string.h>

#include "tables.h"

#define FM_ISA baseline
#define FM_VECTOR_BYTES FM_PORTABLE_BYTES
#include "instances.h"
