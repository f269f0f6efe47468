"""Row-major matrix products through SciPy's BLAS."""

ctypedef void (*gemm_t)(
    char *transa, char *transb, void *m, void *n, void *k, void *alpha, void *a, void *lda, void *b, void *ldb,
    void *beta, void *c, void *ldc
) noexcept nogil

ctypedef struct Blas:
    gemm_t gemm
    char[8] zero
    char[8] one

cdef Blas blas_for(object dtype)
cdef void product(const Blas *blas, bint trans_a, bint trans_b, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                  const void *a, ptrdiff_t lda, const void *b, ptrdiff_t ldb, bint accumulate,
                  void *c, ptrdiff_t ldc) noexcept nogil
