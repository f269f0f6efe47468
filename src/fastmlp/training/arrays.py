"""Arrays as the engine takes them: it does no bounds checks of its own."""

import math
import os
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

__all__ = [
    "Data",
    "check_finite",
    "check_parameters",
    "computing_dtype",
    "fits_precision",
    "for_each",
    "is_finite",
    "parameters_dtype",
    "physical_memory",
    "plain_array",
    "targets_in_precision",
]


class Data(NamedTuple):
    """Rows as the engine takes them, and the labels as the user gave them, which scorers take."""

    X: Any  # C-contiguous array or CSR
    y: np.ndarray
    sample_weight: np.ndarray | None  # of the loss; with class_weight in it
    labels: Any
    score_weight: np.ndarray | None  # of the score

    def given(self):
        """What the user gave, by the names of `fit`."""
        return {"X": self.X, "y": self.labels, "sample_weight": self.score_weight}

    def telling(self):
        """The arrays that tell the data from others."""
        return self.X, self.y, self.score_weight

    def at(self, rows):
        """Copies of some rows."""
        return Data(*(None if part is None else part[rows] for part in self))

    def in_precision(self, dtype, of=""):
        """The same with real targets converted to the precision that trains them; `of` ends the names in errors.

        Raises
        ------
        ValueError
            If a number is beyond it.
        """
        X, y = self.X, self.y
        if X.dtype.itemsize > dtype.itemsize and not fits_precision(X, dtype):
            raise ValueError(f"X{of} has values beyond {dtype}, in which it is trained.")
        return self._replace(y=targets_in_precision(y, dtype, f"y{of}", f"X{of} of dtype {X.dtype}"))


def targets_in_precision(y, dtype, name="y", trained="X"):
    """Targets as the engine takes them: real ones in a precision, codes and bits as they are.

    Raises
    ------
    ValueError
        If a number is beyond the precision. It says `name`, and what is `trained` in it.
    """
    if y.dtype.kind != "f":
        return y
    with np.errstate(over="ignore"):
        y = plain_array(y, dtype)
    if not is_finite(y):
        raise ValueError(f"{name} has values beyond {dtype}, in which {trained} is trained.")
    return y


def is_finite(array):
    """Whether all values of a float array are finite."""
    # a finite sum proves finite terms and needs no temporary; the reverse does not hold, so look again
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(array.sum()) or bool(np.isfinite(array).all())


def check_finite(params):
    """Raise scikit-learn's ValueError if any of the parameter arrays has a value that is not finite."""
    if not all(map(is_finite, params)):
        raise ValueError(
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
            " preprocessed."
        )


def for_each(value, n):
    """A parameter that is one value, or a list with one for each of n layers, as such a list."""
    return [value] * n if isinstance(value, str | Real) else list(value)


def plain_array(array, dtype):
    """The array as the engine takes it: C-contiguous, aligned, of the dtype; itself if it is so already."""
    array = np.ascontiguousarray(array, dtype=dtype)
    return array if array.flags.aligned else array.copy()


def check_parameters(coefs, intercepts, dtype, shapes=None):
    """`coefs_` and `intercepts_` as the user left them, as lists of C-contiguous arrays of `dtype`.

    Arrays that are so already are handed on, not copied. The layers are dense, or have weights of these shapes and
    these numbers of biases.

    Raises
    ------
    ValueError
        If they are not the matrices and vectors of one network.
    """
    if len(coefs) != len(intercepts) or len(coefs) == 0:
        raise ValueError(
            f"coefs_ and intercepts_ must have one entry per layer, got {len(coefs)} and {len(intercepts)}."
        )
    coefs = [plain_array(coef, dtype) for coef in coefs]
    intercepts = [plain_array(intercept, dtype) for intercept in intercepts]
    n_out = None
    for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        if shapes is not None:
            shape, n_out = shapes[i] if i < len(shapes) else (None, None)
            if coef.shape != shape:
                raise ValueError(f"coefs_[{i}] must be of shape {shape}, got {coef.shape}.")
        else:
            if coef.ndim != 2 or coef.size == 0 or n_out not in (None, coef.shape[0]):
                rows = "fan_in" if n_out is None else n_out
                raise ValueError(f"coefs_[{i}] must be of shape ({rows}, fan_out), got {coef.shape}.")
            n_out = coef.shape[1]
        if intercept.shape == (1,) != (n_out,):  # a scalar serves all units
            intercepts[i] = np.repeat(intercept, n_out)
        elif intercept.shape != (n_out,):
            raise ValueError(f"intercepts_[{i}] must be of shape ({n_out},), got {intercept.shape}.")
    return coefs, intercepts


def computing_dtype(dtypes):
    """The engine's dtype for what NumPy computes with these."""
    return np.dtype(np.float32 if np.result_type(*dtypes) in (np.float16, np.float32) else np.float64)


def parameters_dtype(coefs):
    """The engine's dtype for weights as the user left them."""
    return computing_dtype([getattr(coef, "dtype", np.float64) for coef in coefs])


def fits_precision(X, dtype):
    """Whether no value of a finite array or CSR matrix is beyond a float dtype."""
    values = X.data if issparse(X) else X
    limit = np.finfo(dtype).max
    return values.size == 0 or (-limit <= values.min() and values.max() <= limit)


def physical_memory():
    """Bytes of this machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows: refuse only what cannot be addressed
        return 2**47
