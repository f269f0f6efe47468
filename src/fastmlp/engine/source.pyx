"""The rows of a data matrix, dense or CSR, as the kernels read them, and their order."""

import numpy as np
import scipy.sparse

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memset

from .memory cimport data_of


DTYPES = (np.float32, np.float64, np.uint8)
cdef ptrdiff_t[3] ITEMSIZES = [4, 8, 1]


cdef class Source:
    """Holds X and the addresses of its arrays.

    Parameters
    ----------
    X : C-contiguous ndarray or CSR matrix of shape (n_rows, n_features), float32 or float64
        A dense one may be of uint8, whose values count as divided by 255.
        CSR: indices within bounds and ascending in each row (duplicates add up), int32 or int64.
    codes : C-contiguous ndarray of shape (n_rows, n_codes), int32, default=None
        Levels of categories beside dense X.
    """

    def __cinit__(self, X, codes=None):
        self.sparse = scipy.sparse.issparse(X)
        if X.dtype not in DTYPES or X.ndim != 2 or (self.sparse and X.dtype == np.uint8):
            raise ValueError(f"X: a two-dimensional array of float32 or float64, or dense of uint8, not {X.ndim}-d of"
                             f" {X.dtype}")
        self.n_rows, self.n_features = X.shape
        self.values = DTYPES.index(X.dtype)
        if self.sparse and X.format != "csr":
            raise ValueError(f"X: of the sparse formats only CSR, not {X.format}")
        if self.sparse:
            indptr = X.indptr.astype(X.indices.dtype, copy=False)
            self.long_indices = X.indices.dtype == np.int64
            self._arrays = (indptr, X.indices, X.data)
            self.csr.indptr = data_of(indptr, False)
            self.csr.indices = data_of(X.indices, False)
            self.csr.data = data_of(X.data, False)
        else:
            self._arrays = (X, codes)
            self.dense = data_of(X, False)
        if codes is not None:
            if self.sparse or codes.dtype != np.int32 or codes.ndim != 2 or len(codes) != self.n_rows:
                raise ValueError(f"codes: shape ({self.n_rows}, n_codes) of int32, beside dense X")
            self.n_codes = codes.shape[1]
            self.codes = <const int32_t *> data_of(codes, False)

    cdef int check_codes(self, levels) except -1:
        """Refuse other categories than those of these levels."""
        cdef ptrdiff_t i, n_levels, c
        if self.n_codes != len(levels):
            raise ValueError(f"codes: {self.n_codes} categories, the network has {len(levels)}")
        for c in range(self.n_codes):
            n_levels = levels[c]
            for i in range(self.n_rows):
                if self.codes[i * self.n_codes + c] >= n_levels:
                    raise ValueError(f"codes[{i}, {c}]={self.codes[i * self.n_codes + c]}: below {n_levels}, the number"
                                     " of levels")
        return 0


cdef Reader reader_of(Source source, const fm_kernels *kernels, ptrdiff_t itemsize, const ptrdiff_t *index):
    """How kernels of a precision read the rows that index names."""
    cdef Reader reader
    reader.kernels = kernels
    reader.dense = source.dense
    reader.csr = source.csr
    reader.sparse = source.sparse
    reader.long_indices = source.long_indices
    reader.values = source.values
    reader.direct = not source.sparse and index == NULL and itemsize == ITEMSIZES[source.values]
    reader.n_features = source.n_features
    reader.itemsize = itemsize
    reader.codes = source.codes
    reader.n_codes = source.n_codes
    reader.index = index
    return reader


cdef Reader dense_reader(const fm_kernels *kernels, const char *data, ptrdiff_t of_values, ptrdiff_t n_features,
                         ptrdiff_t itemsize):
    """A reader of all rows of a C-contiguous array, whose values have this size."""
    cdef Reader reader
    memset(&reader, 0, sizeof(Reader))
    reader.kernels = kernels
    reader.dense = data
    reader.values = 0
    while ITEMSIZES[reader.values] != of_values:
        reader.values += 1
    reader.direct = itemsize == of_values
    reader.n_features = n_features
    reader.itemsize = itemsize
    return reader


cdef Rows read_rows(const Reader *reader, ptrdiff_t first, ptrdiff_t rows, char *room, ptrdiff_t ld,
                    bint fetch) noexcept nogil:
    """Rows first, ..., first + rows - 1 of the reader's order.

    Dense rows that cannot be read where they lie are those in room, (rows, ld); fetch copies them there first.
    """
    cdef Rows x
    memset(&x, 0, sizeof(Rows))
    x.sparse = reader.sparse
    x.dense = room
    x.ld = ld
    x.csr = &reader.csr
    x.long_indices = reader.long_indices
    x.double_values = reader.values == 1
    x.index = reader.index + first if reader.index != NULL else NULL
    x.first = first
    x.codes = reader.codes
    x.n_codes = reader.n_codes
    if reader.direct:
        x.dense = reader.dense + first * reader.n_features * reader.itemsize
        x.ld = reader.n_features
    elif fetch and not reader.sparse:
        reader.kernels.gather[reader.values](room, reader.dense, x.index, first, rows, reader.n_features, ld)
    return x


cdef const ptrdiff_t *index_of(object rows, ptrdiff_t n_rows) except? NULL:
    """The address of an array of row numbers, checked; NULL for None."""
    if rows is None:
        return NULL
    if rows.dtype != np.intp or rows.ndim != 1:
        raise ValueError(f"rows: a one-dimensional array of intp, not {rows.ndim}-d of {rows.dtype}")
    cdef const ptrdiff_t *index = <const ptrdiff_t *> data_of(rows, False)
    cdef ptrdiff_t i, n = rows.size
    cdef bint outside = False
    for i in range(n):
        outside |= index[i] < 0 or index[i] >= n_rows
    if outside:
        raise IndexError(f"rows: numbers from 0 to {n_rows - 1}, got {rows.min()} to {rows.max()}")
    return index


# ---- the order of rows ----

cdef extern from "compiler.h" nogil:
    void PREFETCH(const void *)


# NumPy's `bitgen_t`, "Extending" in its documentation of numpy.random.
ctypedef struct BitGenerator:
    void *state
    uint64_t (*next_uint64)(void *) noexcept nogil
    uint32_t (*next_uint32)(void *) noexcept nogil
    double (*next_double)(void *) noexcept nogil
    uint64_t (*next_raw)(void *) noexcept nogil


cdef enum:
    DRAWN = 128                     # places that are drawn before rows are put there


cdef void shuffle_rows(BitGenerator *random, ptrdiff_t *rows, ptrdiff_t n) noexcept nogil:
    """Fisher and Yates's shuffle from the last row down, places drawn below 2^k until one is none too large."""
    cdef uint32_t[DRAWN] places
    cdef uint32_t mask = 1, place
    cdef ptrdiff_t last = n - 1, i, count, k
    cdef bint taken
    while mask < last:
        mask = 2 * mask + 1
    while last > 0:
        i, count = last, 0
        while count < DRAWN and i > 0:
            place = random.next_uint32(random.state) & mask
            places[count] = place
            taken = place <= i
            count += taken
            i -= taken
            mask >>= i <= mask >> 1
        for k in range(count):
            PREFETCH(rows + places[k])
        for k in range(count):
            rows[last - k], rows[places[k]] = rows[places[k]], rows[last - k]
        last = i


def shuffle(random_state, rows):
    """Shuffle row numbers in place, to the order and the state that ``random_state.shuffle(rows)`` comes to.

    Parameters
    ----------
    random_state : numpy.random.RandomState
    rows : ndarray of shape (n,), intp, C-contiguous
        Places are drawn ahead and their cache lines fetched, so that many rows take a fraction of NumPy's time.

    Raises
    ------
    ValueError
        If rows are another array.
    """
    if rows.dtype != np.intp or rows.ndim != 1:
        raise ValueError(f"rows: a one-dimensional array of intp, not {rows.ndim}-d of {rows.dtype}")
    cdef ptrdiff_t *numbers = <ptrdiff_t *> data_of(rows, True)
    cdef ptrdiff_t n = rows.size
    if n > <ptrdiff_t> 0xffffffff:  # places of 64 bits
        random_state.shuffle(rows)
        return
    generator = random_state._bit_generator
    cdef BitGenerator *random = <BitGenerator *> PyCapsule_GetPointer(generator.capsule, "BitGenerator")
    with generator.lock, nogil:
        shuffle_rows(random, numbers, n)
