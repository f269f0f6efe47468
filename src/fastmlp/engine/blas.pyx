"""Row-major matrix products through SciPy's BLAS (scipy.linalg.cython_blas).

The functions are taken from the capsules that the module exports, so one build serves SciPy releases whose
declarations differ (``int *`` until 1.17, ``blas_int *``, 32 or 64 bits wide, from 1.18).
"""

import sys

import numpy as np
from scipy.linalg import cython_blas

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport int64_t

# A 64-bit integer's address is also that of its low half where the low half comes first, so the same arguments
# serve a BLAS with 32-bit and one with 64-bit integers.
if sys.byteorder != "little":
    raise ImportError("fastmlp supports little-endian processors only")


cdef gemm_t _gemm(str name) except NULL:
    capsule = cython_blas.__pyx_capi__[name]
    return <gemm_t> PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


cdef gemm_t _sgemm = _gemm("sgemm")
cdef gemm_t _dgemm = _gemm("dgemm")


cdef Blas blas_for(object dtype):
    """BLAS's product for float32 or float64."""
    cdef Blas blas
    if dtype == np.float64:
        blas.gemm = _dgemm
        (<double *> blas.zero)[0] = 0.0
        (<double *> blas.one)[0] = 1.0
    else:
        blas.gemm = _sgemm
        (<float *> blas.zero)[0] = 0.0
        (<float *> blas.one)[0] = 1.0
    return blas


cdef void product(const Blas *blas, bint trans_a, bint trans_b, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                  const void *a, ptrdiff_t lda, const void *b, ptrdiff_t ldb, bint accumulate,
                  void *c, ptrdiff_t ldc) noexcept nogil:
    """C = [C +] op(A) op(B), C (m, n), op(A) (m, k), op(B) (k, n), all row-major.

    A row-major matrix is the transpose of a column-major one: BLAS computes C^T = op(B)^T op(A)^T.
    """
    cdef int64_t rows = n, columns = m, inner = k, first = ldb, second = lda, out = ldc
    cdef char no = b"N", yes = b"T"
    cdef char *one = <char *> blas.one
    cdef char *beta = one if accumulate else <char *> blas.zero
    blas.gemm(&yes if trans_b else &no, &yes if trans_a else &no, &rows, &columns, &inner, one,
              <void *> b, &first, <void *> a, &second, beta, c, &out)
