"""Checks of everything that reaches the engine: it does no bounds checks of its own."""

import sys
from contextlib import contextmanager
from math import prod
from numbers import Integral

import joblib
import numpy as np
from scipy.sparse import issparse

from ..borrowed import check_sample_weight
from ..data.columns import as_numbers
from ..data.frames import described, read_table
from ..engine import MAX_LAYERS, MAX_UNITS, OPTIMIZERS, unbound
from ..training.arrays import physical_memory, plain_array

__all__ = [
    "check_layers",
    "check_nonnegative",
    "check_total",
    "check_weights",
    "column_named",
    "effective_n_jobs",
    "engine_rows",
    "hidden_units",
    "numeric_rows",
]

# errors about values that may get another text; NumPy's is that of dates beside numbers
_PLAIN_ERRORS = {ValueError: ValueError, TypeError: TypeError, np.exceptions.DTypePromotionError: TypeError}
_NUMBERS = frozenset(np.typecodes["AllInteger"] + "?efd")  # dtypes that are predicted without a warning


def hidden_units(hidden_layer_sizes, name="hidden_layer_sizes"):
    """The parameter as a tuple of int; an int means one hidden layer, an empty sequence none.

    Raises
    ------
    ValueError, TypeError
        If a size is not a positive integer.
    """
    sizes = hidden_layer_sizes
    if isinstance(sizes, np.ndarray):
        sizes = sizes.tolist()
    sizes = tuple(sizes) if hasattr(sizes, "__iter__") else (sizes,)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, Integral):
            raise TypeError(f"{name} must be integers > 0, got {hidden_layer_sizes!r}.")
        if size <= 0:
            raise ValueError(f"{name} must be > 0, got {hidden_layer_sizes!r}.")
    return tuple(map(int, sizes))


def check_layers(shapes, described, solver, itemsize):
    """Refuse layers that this machine or BLAS cannot hold, before anything is allocated.

    Parameters
    ----------
    shapes : list of tuple of int
        Of the weights of each layer.
    described : str
        The network, in errors.
    solver : str
        Decides how many arrays of the parameters' size a fit keeps.
    itemsize : int
        Bytes of a parameter.

    Raises
    ------
    ValueError
        With the memory it would need.
    """
    if len(shapes) > MAX_LAYERS:
        raise ValueError(f"hidden_layer_sizes has {len(shapes) - 1} layers: at most {MAX_LAYERS - 1} are allowed.")
    n_params = sum(prod(shape) + shape[-1] for shape in shapes)
    # parameters and optimizer state; L-BFGS-B keeps ten pairs of corrections, the iterate and the gradient
    need, have = n_params * itemsize * (1 + OPTIMIZERS.get(solver, 22)), physical_memory()
    if need > have:
        raise ValueError(
            f"{described} makes {n_params} parameters and needs {need / 2**30:.4g} GiB of memory to train with"
            f" solver={solver!r}; this machine has {have / 2**30:.4g} GiB."
        )
    if max(map(max, shapes)) > MAX_UNITS:
        raise ValueError(f"{described}: a layer may have at most {MAX_UNITS} units.")


def numeric_rows(X, names):
    """X as a C-contiguous matrix of numbers, where `validate_data` would let it pass without a word; else None.

    Values and the number of features are for the caller to check.

    Parameters
    ----------
    X : object
        Arrays, nested lists, and frames of pandas and Polars may be taken.
    names : ndarray of str or None
        The names of features seen in `fit`.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), or None
        Of the dtype that NumPy gives it.
    """
    kind = type(X)
    if kind is np.ndarray:
        if names is not None:
            return None
    elif kind is list or kind is tuple:
        if names is not None:
            return None
        try:
            X = np.asarray(X)
        except Exception:  # validate_data will say what is wrong
            return None
    else:
        X = _frame_values(X, names)
    if X is None or X.ndim != 2 or X.dtype.char not in _NUMBERS:
        return None
    return X if X.flags.c_contiguous else np.ascontiguousarray(X)


def _frame_values(X, names):
    """The values of a frame of numbers that has the columns seen in `fit`; None for anything else."""
    if type(X) is getattr(sys.modules.get("pandas"), "DataFrame", None):
        columns = X.columns.tolist()
        if not _are_names(columns, names):
            return None
        dtypes = {*X.dtypes.tolist()}
        if not all(isinstance(dtype, np.dtype) and dtype.char in _NUMBERS for dtype in dtypes):
            return None
        return X.to_numpy(np.result_type(*dtypes) if len(dtypes) > 1 and np.dtype(bool) in dtypes else None)
    if type(X) is getattr(sys.modules.get("polars"), "DataFrame", None) and _are_names(X.columns, names):
        return X.to_numpy()
    return None


def _are_names(columns, names):
    """Whether these are the names seen in `fit`; where there were none, whether scikit-learn takes them for none."""
    if names is None:
        return {*map(type, columns)} == {int} and len({*columns}) == len(columns)
    return columns == [*names] and {*map(type, columns)} == {str}


def engine_rows(X, ascending=True):
    """Validated input as the engine takes it: aligned C-contiguous, or CSR that is sorted and within bounds.

    Parameters
    ----------
    X : ndarray or sparse matrix
    ascending : bool, default=True
        Whether CSR must be sorted.

    Raises
    ------
    ValueError
        If the index arrays of a sparse matrix are inconsistent.
    """
    if not issparse(X):
        return X if X.flags.aligned else X.copy()
    n_rows, n_columns = X.shape
    data, indices, indptr = X.data, X.indices, X.indptr
    if (
        data.ndim != 1
        or indices.ndim != 1
        or indptr.shape != (n_rows + 1,)
        or indptr[0] != 0
        or indptr[-1] > min(len(data), len(indices))
        or (indptr[1:] < indptr[:-1]).any()
    ):
        raise ValueError("X is not a valid CSR matrix: indptr must rise from 0 to at most the number of stored values.")
    used = indices[: indptr[-1]]
    if used.size and (used.min() < 0 or used.max() >= n_columns):
        raise ValueError(f"X is not a valid CSR matrix: column indices must lie in [0, {n_columns}).")
    unsorted = ascending and _falls_somewhere(used, indptr)
    plain = (
        indices.dtype == indptr.dtype
        and indices.dtype in (np.int32, np.int64)
        and all(a.flags.c_contiguous and a.flags.aligned for a in (data, indices, indptr))
    )
    if plain and not unsorted:
        return X
    width = np.int64 if max(indices.dtype.itemsize, indptr.dtype.itemsize) > 4 else np.int32
    X = type(X)((data.copy(), indices.astype(width), indptr.astype(width)), shape=X.shape)
    if unsorted:
        X.has_sorted_indices = False
        X.sort_indices()
    return X


def _falls_somewhere(indices, indptr):
    """Whether the columns of some row are not sorted.

    `has_sorted_indices` is not asked: it remembers its first answer, and the arrays may have been changed since.
    """
    falls = indices[1:] < indices[:-1]
    starts = indptr[1:-1]
    falls[starts[(starts > 0) & (starts < indices.size)] - 1] = False
    return bool(falls.any())


def check_total(weights, dtype, name):
    """Refuse weights whose sum is beyond a precision.

    Raises
    ------
    ValueError
        That names them.
    """
    total = weights.sum()
    limits = np.finfo(dtype)
    if not limits.tiny <= total < limits.max:  # below it training takes numbers for zero
        raise ValueError(
            f"{name} must have a positive, finite sum: not all zero, at least {limits.tiny:.3g}. The sum is {total}."
        )


def check_nonnegative(weights):
    """Refuse weights that are negative.

    Raises
    ------
    ValueError
    """
    if weights.min() < 0:
        raise ValueError(f"sample_weight must be >= 0, got {weights.min()}.")


def check_weights(sample_weight, X, dtype):
    """`sample_weight` as float64 of shape (n,), or None.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or if all are zero.
    """
    if sample_weight is None:
        return None
    weights = check_sample_weight(sample_weight, X, dtype=np.float64)
    check_nonnegative(weights)
    check_total(weights, dtype, "sample_weight")
    return plain_array(weights, np.float64)


def effective_n_jobs(n_jobs):
    """The threads that `n_jobs` stands for where this is called; joblib counts those of an unbound thread."""
    with unbound():
        return joblib.effective_n_jobs(n_jobs)


@contextmanager
def column_named(X, estimator):
    """Let an error about a frame say which column has other values than numbers, and what takes such frames.

    Parameters
    ----------
    X : object
    estimator : str
        The name of the class that refuses X.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = _PLAIN_ERRORS.get(type(error))
        said = _no_numbers(X, estimator) if kind is not None and hasattr(X, "columns") else None
        if said is None:
            raise
        raise kind(f"{error}\n{said}. Tabular{estimator} takes such tables as they are.") from error


def _no_numbers(X, estimator):
    """In words, what else than numbers is in the first such column of a frame; None if there is no such column."""
    try:
        table = read_table(X, estimator)
        for i, name in enumerate(table.names or range(table.n_columns)):
            column, where = table.column(i), described(name)
            if column.kind == "date":
                return f"{where} has dates"
            try:
                numbers = as_numbers(column, where)
            except ValueError:
                return f"{where} has strings or categories"
            if np.isnan(numbers).any():
                return f"{where} has missing values"
    except (ValueError, TypeError):  # no table: the error says all there is to say
        pass
    return None
