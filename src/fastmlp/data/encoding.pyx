"""The arithmetic of a table's encoding: rows of plain values one by one, and the numbers of many rows."""

import numpy as np

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_AsDouble, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact
from libc.math cimport INFINITY, NAN, fabs, isnan, sqrt
from libc.stdint cimport int32_t

from ..engine.memory cimport data_of

from .columns import level_key

cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(object sequence, Py_ssize_t i)

cdef extern from *:
    """
    #define LARGE 1e9
    """
    const double LARGE      # from here on the smooth clip gives 3 to the last bit of float64

cdef frozenset scalars = frozenset((bool, *(np.dtype(char).type for char in "?bhilqBHILQfd")))


cdef class Levels:
    """The codes of one column's levels.

    Parameters
    ----------
    codes_of : dict of str or None to int
        By key of the level, see `level_key`; None is for missing values.
    unseen : int
        The code of all other keys.
    """

    cdef dict codes_of, codes_of_numbers    # the latter by number, where a key is that of a number
    cdef int unseen, missing

    def __init__(self, dict codes_of, int unseen):
        self.codes_of, self.unseen, self.missing = codes_of, unseen, codes_of[None]
        self.codes_of_numbers = {}
        for key, code in codes_of.items():
            for kind in (int, float):
                try:
                    number = kind(key)
                except (TypeError, ValueError):
                    continue
                if level_key(number) == key:
                    self.codes_of_numbers[number] = code

    cdef bint find(self, value, int *code) except -1:
        """Find the code of a plain value; False for a value of another type."""
        if PyUnicode_CheckExact(value):
            code[0] = self.codes_of.get(value, self.unseen)
        elif PyLong_CheckExact(value) or PyFloat_CheckExact(value):
            # numbers that are equal have the same key
            code[0] = self.codes_of_numbers.get(value, self.unseen) if value == value else self.missing
        elif value is None:
            code[0] = self.missing
        elif type(value) in scalars:
            code[0] = self.codes_of.get(level_key(value), self.unseen)
        else:
            return False
        return True

    def code(self, value):
        """The code of a plain value; None for a value of another type."""
        cdef int code = 0
        return code if self.find(value, &code) else None


cdef bint read_number(value, double *x) except -1:
    """Read a plain number, NaN for None; False for a value of another type, and for an integer beyond float64."""
    if PyFloat_CheckExact(value):
        x[0] = PyFloat_AS_DOUBLE(value)
    elif value is None:
        x[0] = NAN
    elif PyLong_CheckExact(value):
        try:
            x[0] = PyLong_AsDouble(value)
        except OverflowError:
            return False
    elif type(value) in scalars:
        x[0] = float(value)
    else:
        return False
    return True


cdef class Encoding:
    """What becomes of the values of a fitted table, once they are known to be of the types that its columns take.

    Parameters
    ----------
    n_columns : int
        Columns of the table.
    center, scale : ndarray of float64 of shape (n_continuous,)
        Of the continuous numbers.
    numeric : list of (position, slot)
        Columns of plain numbers: their place in the table, and that among the continuous numbers. The other slots are
        those of what dates are taken apart into.
    binary : list of (position, codes_of, unseen, constants)
        Columns whose codes stand for numbers.
    coded : list of (position, codes_of, unseen)
    with_gaps : list of int
        Slots that have an indicator of gaps.
    indicators : ndarray of shape (2, n_indicators)
        What these are for a value, and for a gap.
    """

    cdef readonly Py_ssize_t n_numbers, n_codes    # columns of what comes out
    cdef Py_ssize_t n_columns, n_continuous, n_numeric, n_binary, n_indicators
    cdef const double *center
    cdef const double *scale
    cdef const Py_ssize_t *positions
    cdef const Py_ssize_t *slots
    cdef const Py_ssize_t *with_gaps
    cdef const float *indicators
    cdef list binary, coded
    cdef tuple _arrays                      # of these addresses

    def __init__(self, Py_ssize_t n_columns, center, scale, list numeric, list binary, list coded, list with_gaps,
                 indicators):
        self._arrays = (
            np.array(center, dtype=np.float64),
            np.array(scale, dtype=np.float64),
            *np.array(numeric, dtype=np.intp).reshape(-1, 2).T.copy(),
            np.array(with_gaps, dtype=np.intp),
            np.array(indicators, dtype=np.float32, order="C"),
        )
        self.center = <const double *> data_of(self._arrays[0], False)
        self.scale = <const double *> data_of(self._arrays[1], False)
        self.positions = <const Py_ssize_t *> data_of(self._arrays[2], False)
        self.slots = <const Py_ssize_t *> data_of(self._arrays[3], False)
        self.with_gaps = <const Py_ssize_t *> data_of(self._arrays[4], False)
        self.indicators = <const float *> data_of(self._arrays[5], False)
        self.binary = [
            (position, Levels(codes_of, unseen), list(constants)) for position, codes_of, unseen, constants in binary
        ]
        self.coded = [(position, Levels(codes_of, unseen)) for position, codes_of, unseen in coded]
        self.n_columns, self.n_continuous, self.n_numeric = n_columns, len(center), len(numeric)
        self.n_binary, self.n_indicators = len(binary), len(with_gaps)
        self.n_numbers, self.n_codes = self.n_continuous + self.n_binary + self.n_indicators, len(coded)

    cdef bint _fill(self, const double *x, float *numbers, Py_ssize_t rows) noexcept nogil:
        """The continuous numbers and the indicators of rows; whether no number is infinite."""
        cdef const double *center = self.center
        cdef const double *scale = self.scale
        cdef Py_ssize_t _row, j, n = self.n_continuous
        cdef double value, third
        cdef int infinite = 0
        # loops that compilers vectorise
        for j in range(rows * n):
            infinite |= fabs(x[j]) == INFINITY
        for _row in range(rows):
            for j in range(n):
                value = (x[j] - center[j]) * scale[j]
                value = value if value > -LARGE else -LARGE     # so is infinity times 0
                value = value if value < LARGE else LARGE
                third = value / 3.0
                value = value / sqrt(third * third + 1.0)
                numbers[j] = <float> (value if x[j] == x[j] else 0.0)
            for j in range(self.n_indicators):
                numbers[n + self.n_binary + j] = self.indicators[
                    (self.n_indicators if isnan(x[self.with_gaps[j]]) else 0) + j]
            x += n
            numbers += self.n_numbers
        return not infinite

    def fill(self, x, numbers):
        """Encode continuous numbers: x <- (x - center) scale, then x / sqrt(1 + (x / 3)^2), and 0 for gaps.

        Parameters
        ----------
        x : C-contiguous ndarray of float64 of shape (n, n_continuous)
            NaN where there is none.
        numbers : C-contiguous ndarray of float32 of shape (n, n_numbers)
            Gets the continuous numbers and the indicators of gaps; binary columns are left as they are.

        Returns
        -------
        finite : bool
            Whether no number is infinite.
        """
        cdef Py_ssize_t n = len(x)
        if x.dtype != np.float64 or numbers.dtype != np.float32 or x.shape != (n, self.n_continuous) or (
            numbers.shape != (n, self.n_numbers)
        ):
            raise ValueError(f"x, numbers: {x.shape} of {x.dtype}, {numbers.shape} of {numbers.dtype}")
        cdef const double *source = <const double *> data_of(x, False)
        cdef float *out = <float *> data_of(numbers, True)
        cdef bint finite
        with nogil:
            finite = self._fill(source, out, n)
        return finite

    def rows(self, list rows, fields=None):
        """Encode rows of plain values, as Python and NumPy have them.

        Parameters
        ----------
        rows : list of list or tuple
            In the order of the table's columns.
        fields : C-contiguous ndarray of float64 of shape (n, n_continuous) or None, default=None
            What dates are taken apart into, in their slots; the others are written over.

        Returns
        -------
        encoded : tuple of ndarray, or None
            Numbers and codes as `TableEncoder` gives them. None if there are values or rows of other types, infinite
            numbers, or integers beyond float64.
        """
        cdef Py_ssize_t i, j, n = len(rows)
        cdef int code = 0
        cdef Levels levels
        cdef tuple column
        cdef double *x
        cdef float *to_numbers
        cdef int32_t *to_codes
        if fields is None:
            fields = np.empty((n, self.n_continuous))
        numbers = np.empty((n, self.n_numbers), dtype=np.float32)
        codes = np.empty((n, self.n_codes), dtype=np.int32)
        x = <double *> data_of(fields, True)
        to_numbers = <float *> data_of(numbers, True)
        to_codes = <int32_t *> data_of(codes, True)
        for i in range(n):
            row = rows[i]
            if isinstance(row, list):
                row = tuple(row)    # which no other thread can make shorter
            if not isinstance(row, tuple) or len(row) != self.n_columns:
                return None
            for j in range(self.n_numeric):
                if not read_number(<object> PyTuple_GET_ITEM(row, self.positions[j]), &x[self.slots[j]]):
                    return None
            for j in range(self.n_binary):
                column = <tuple> self.binary[j]
                levels = <Levels> column[1]
                if not levels.find(<object> PyTuple_GET_ITEM(row, column[0]), &code):
                    return None
                to_numbers[self.n_continuous + j] = (<list> column[2])[code]
            for j in range(self.n_codes):
                column = <tuple> self.coded[j]
                levels = <Levels> column[1]
                if not levels.find(<object> PyTuple_GET_ITEM(row, column[0]), &code):
                    return None
                to_codes[j] = code
            if not self._fill(x, to_numbers, 1):
                return None
            x += self.n_continuous
            to_numbers += self.n_numbers
            to_codes += self.n_codes
        return numbers, codes
