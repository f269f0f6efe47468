"""The rows of a data matrix, dense or CSR, as the kernels read them."""

from libc.stdint cimport int32_t

from .kernels cimport fm_csr, fm_kernels


cdef class Source:
    cdef object _arrays             # kept alive
    cdef readonly ptrdiff_t n_rows, n_features
    cdef readonly bint sparse
    cdef bint long_indices
    cdef int values                 # which of the kernels that gather: from float, double or bytes
    cdef const char *dense
    cdef fm_csr csr
    cdef readonly ptrdiff_t n_codes
    cdef const int32_t *codes           # (n_rows, n_codes), or NULL

    cdef int check_codes(self, levels) except -1


# A layer's input rows: dense memory, or rows of a CSR matrix.
ctypedef struct Rows:
    bint sparse
    const char *dense               # (., ld), the first of the rows
    ptrdiff_t ld
    const fm_csr *csr
    bint long_indices, double_values
    const ptrdiff_t *index          # which rows of csr, or NULL: first, first + 1, ...
    ptrdiff_t first
    const int32_t *codes            # (., n_codes): levels of all categories, for index and first; or NULL
    ptrdiff_t n_codes
    int32_t *cuts                   # (rows, n_cuts): where each row of csr enters a tile of cut_width columns, or NULL
    ptrdiff_t n_cuts, cut_width


ctypedef struct Reader:
    const fm_kernels *kernels
    const char *dense
    fm_csr csr
    bint sparse, long_indices
    int values
    bint direct                     # dense rows of the kernels' precision in their own order: read where they lie
    ptrdiff_t n_features, itemsize
    const int32_t *codes
    ptrdiff_t n_codes
    const ptrdiff_t *index          # row numbers, or NULL: all in order


cdef Reader reader_of(Source source, const fm_kernels *kernels, ptrdiff_t itemsize, const ptrdiff_t *index)
cdef Reader dense_reader(const fm_kernels *kernels, const char *data, ptrdiff_t of_values, ptrdiff_t n_features,
                         ptrdiff_t itemsize)
cdef Rows read_rows(const Reader *reader, ptrdiff_t first, ptrdiff_t rows, char *room, ptrdiff_t ld,
                    bint fetch) noexcept nogil
cdef const ptrdiff_t *index_of(object rows, ptrdiff_t n_rows) except? NULL
