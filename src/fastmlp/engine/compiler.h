/* What compilers spell differently. Everything else in the engine is C11, OpenMP, or an intrinsic in
 * simd/vector_template.h and team.h.
 *
 * GCC and clang have vectors and atomics. Another compiler (MSVC), or FM_STANDARD_C, gets the portable kernels with
 * vectors of one element, and one thread.
 */
#ifndef FASTMLP_COMPILER_H
#define FASTMLP_COMPILER_H

#if (defined(__GNUC__) || defined(__clang__)) && !defined(FM_STANDARD_C)
#define FM_GNU 1
#define INLINE static inline __attribute__((always_inline))
#define ASSUME_ALIGNED(p, bytes) __builtin_assume_aligned(p, bytes)
#define UNREACHABLE __builtin_unreachable()
#define PREFETCH(p) __builtin_prefetch(p, 0, 2) /* for reading, into the second level */
/* a type of vectors that may lie wherever an element may, and the same in registers alone */
#define VECTOR_IN_MEMORY(type, bytes) __attribute__((vector_size(bytes), aligned(sizeof(type)), may_alias))
#define VECTOR_IN_REGISTER(bytes) __attribute__((vector_size(bytes)))
#define FM_LOAD(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define FM_STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define FM_ADD(p, v) __atomic_add_fetch(p, v, __ATOMIC_ACQ_REL)
#define FM_SWAP(p, old, v) __atomic_compare_exchange_n(p, old, v, 1, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#else
#define FM_GNU 0
#define INLINE static inline
#define ASSUME_ALIGNED(p, bytes) ((void *)(p))
#define UNREACHABLE break
#define PREFETCH(p) (void)0
#define FM_LOAD(p) (*(p))
#define FM_STORE(p, v) (*(p) = (v))
#define FM_ADD(p, v) (*(p) += (v))
#define FM_SWAP(p, old, v) (*(p) = (v), 1)
#endif

/* UNROLLED: before a loop over registers, whose bounds are constants where it is inlined: no array of sums stays in
 * memory
 * VECTORISED: before a loop over the elements of a vector, none of which depends on another; clang would unroll it into
 * one element after another, or ask at each vector whether arrays overlap. GCC unrolls those over few elements, hence
 * FEW_VECTORISED; longer ones need no pragma, and are 2 % slower with it. clang takes the number of an element of two
 * for a flag and vectorises no loop over them, hence PAIR_VECTORISED: it sets both beside each other and vectorises them
 * or the loop around. */
#if !FM_GNU
#define UNROLLED
#define VECTORISED
#define FEW_VECTORISED
#define PAIR_VECTORISED
#elif defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#define VECTORISED _Pragma("clang loop unroll(disable) vectorize(assume_safety)")
#define FEW_VECTORISED VECTORISED
#define PAIR_VECTORISED UNROLLED
#else
#define UNROLLED _Pragma("GCC unroll 16")
#define VECTORISED
#define FEW_VECTORISED _Pragma("GCC unroll 1")
#define PAIR_VECTORISED FEW_VECTORISED
#endif

/* Whether this processor has a feature of x86-64. */
#if FM_GNU && defined(__x86_64__)
#define FM_CPU_HAS(feature) (__builtin_cpu_init(), __builtin_cpu_supports(feature) != 0)
#else
#define FM_CPU_HAS(feature) 0
#endif

#endif
