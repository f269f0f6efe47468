"""The kernels' tables: which instruction set serves, and what their rows are called."""

import os
import time
from collections import namedtuple
from numbers import Integral, Real

import numpy as np

from libc.string cimport memcpy

from .memory cimport Arena, data_of, strided_data_of

cdef extern from "simd/tables.h" nogil:
    fm_activation_row fm_activation_rows[]
    fm_loss_row fm_loss_rows[]
    fm_loss_number_row fm_loss_number_rows[]
    fm_optimizer_row fm_optimizer_rows[]
    const char **fm_layer_kernel_names


cdef const fm_isa *_isas[FM_N_ISAS]
cdef int _n_isas = fm_available_isas(_isas)

ISAS = tuple(_isas[i].name.decode() for i in range(_n_isas))
ACTIVATIONS = tuple(
    fm_activation_rows[i].name.decode() for i in range(FM_N_ACTIVATIONS) if fm_activation_rows[i].hidden
)

# A loss as the table has it: `output`, its output activation; `target`, the kind of its targets: class codes ("code"),
# bits ("bit") or numbers ("real"); `domain`, the targets allowed, "any", "y >= 0" or "y > 0"; `options`, those of
# LOSS_OPTIONS that it takes, and "segments".
LossRow = namedtuple("LossRow", ["output", "target", "domain", "options"])
# A number that a loss takes: its default, and the values allowed, from `low`, itself only if `closed`, to below `high`.
LossOption = namedtuple("LossOption", ["default", "low", "closed", "high"])

LOSS_OPTIONS = {
    fm_loss_number_rows[i].name.decode(): LossOption(
        fm_loss_number_rows[i].initial, fm_loss_number_rows[i].low, bool(fm_loss_number_rows[i].closed),
        fm_loss_number_rows[i].high)
    for i in range(FM_N_LOSS_NUMBERS)
}
_OPTION_NAMES = (*LOSS_OPTIONS, "segments")
_TARGETS = {FM_TARGET_CODE: "code", FM_TARGET_BYTE: "bit", FM_TARGET_REAL: "real"}
_DOMAINS = {FM_ANY: "any", FM_NOT_NEGATIVE: "y >= 0", FM_POSITIVE: "y > 0"}
LOSS_ROWS = {
    fm_loss_rows[i].name.decode(): LossRow(
        fm_activation_rows[fm_loss_rows[i].activation].name.decode(),
        _TARGETS[fm_loss_rows[i].target],
        _DOMAINS[fm_loss_rows[i].domain],
        tuple(name for o, name in enumerate(_OPTION_NAMES) if fm_loss_rows[i].options >> <int> o & 1))
    for i in range(FM_N_LOSSES)
}
LOSSES = {name: row.output for name, row in LOSS_ROWS.items()}
OPTIMIZERS = {
    fm_optimizer_rows[i].name.decode(): fm_optimizer_rows[i].n_states
    for i in range(FM_N_OPTIMIZERS) if i != FM_OPTIMIZER_gradient
}

_NUMBERS = {
    "activation": {fm_activation_rows[i].name.decode(): i for i in range(FM_N_ACTIVATIONS)},
    "loss": {fm_loss_rows[i].name.decode(): i for i in range(FM_N_LOSSES)},
    "optimizer": {fm_optimizer_rows[i].name.decode(): i for i in range(FM_N_OPTIMIZERS)},
}
# Name of an optimizer -> how many numbers it carries from update to update
OPTIMIZER_MEMORY = {name: fm_optimizer_rows[_NUMBERS["optimizer"][name]].n_memory for name in OPTIMIZERS}


def _number(str concept, name):
    try:
        return _NUMBERS[concept][name]
    except KeyError:
        raise ValueError(f"unknown {concept} {name!r}: one of {sorted(_NUMBERS[concept])}") from None


cdef int activation_number(name) except -1:
    return _number("activation", name)


cdef object activation_names(object activation, Py_ssize_t n_hidden):
    """What a network keeps of the activation it is given: a name, or a tuple of names, one for each hidden layer."""
    if isinstance(activation, str):
        return activation
    names = tuple(activation)
    if len(names) != n_hidden:
        raise ValueError(f"activation={names!r}: {len(names)} names for {n_hidden} hidden layers")
    return names


cdef int loss_number(name) except -1:
    return _number("loss", name)


cdef int optimizer_number(name) except -1:
    return _number("optimizer", name)


cdef const fm_loss_row *loss_row(int number):
    return &fm_loss_rows[number]


cdef const fm_optimizer_row *optimizer_row(int number):
    return &fm_optimizer_rows[number]


def loss_numbers(loss, options, dtype):
    """The numbers of a loss, checked.

    Parameters
    ----------
    loss : str
        One of ``LOSSES``.
    options : dict or None
        Values for some keys of ``LOSS_OPTIONS``, for ``"quantiles"`` a sequence; ``"segments"`` is left alone.
    dtype : float32 or float64
        Precision in which the numbers must be in their ranges.

    Returns
    -------
    numbers : dict
        A float for each key of ``LOSS_OPTIONS``, for ``"quantiles"`` a tuple of floats.

    Raises
    ------
    ValueError
        If a key is unknown, a value out of its range, or not the default of an option that the loss does not take.
    """
    given = dict(options or {})
    taken = LOSS_ROWS[loss].options
    for key in given:
        if key not in _OPTION_NAMES:
            raise ValueError(f"unknown loss option {key!r}: one of {sorted(_OPTION_NAMES)}")
    numbers = {}
    for key, (default, low, closed, high) in LOSS_OPTIONS.items():
        several = key == "quantiles"
        if key not in given:
            numbers[key] = (default,) if several else default
            continue
        value = given[key]
        values = (value,) if not several else tuple(value) if np.ndim(value) == 1 else ()
        with np.errstate(over="ignore"):
            rounded = [np.dtype(dtype).type(number) if isinstance(number, Real) else np.nan for number in values]
        if not values or not all(low < number < high or (closed and number == low) for number in rounded):
            kind = "a sequence of numbers" if several else "a number"
            raise ValueError(f"{key}={value!r}: {kind} in {'[' if closed else '('}{low:g}, {high:g})")
        if key not in taken and values != (default,):
            raise ValueError(f"{key}={value!r}: the loss {loss!r} has no such option")
        numbers[key] = tuple(map(float, values)) if several else float(value)
    return numbers


cdef object offsets_of(object segments, ptrdiff_t n_outputs):
    """Where blocks of outputs of the given sizes begin, and n_outputs: an array of intp. None: one block."""
    sizes = (n_outputs,) if segments is None else tuple(segments)
    if not sizes or not all(isinstance(size, Integral) and size > 0 for size in sizes) or sum(sizes) != n_outputs:
        raise ValueError(f"segments={segments!r}: positive integers that add up to the {n_outputs} outputs")
    return np.cumsum((0, *sizes), dtype=np.intp)


def default_isa():
    """The instruction set that serves unless a call names another one.

    The best one this processor has, or the one that the environment variable ``FASTMLP_ISA`` names when the
    package is imported.

    Returns
    -------
    isa : str
        One of ``ISAS``.

    Raises
    ------
    ValueError
        If ``FASTMLP_ISA`` names an instruction set that this machine cannot run.
    """
    isa = os.environ.get("FASTMLP_ISA") or ISAS[0]
    if isa not in ISAS:
        raise ValueError(f"FASTMLP_ISA={isa!r}: this machine runs {', '.join(ISAS)}")
    return isa


DEFAULT_ISA = default_isa()


cdef const fm_kernels *kernels_for(object dtype, object isa) except NULL:
    name = DEFAULT_ISA if isa is None else isa
    if name not in ISAS:
        raise ValueError(f"isa={isa!r}: this machine runs {', '.join(ISAS)}")
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype={dtype!r}: float32 or float64")
    return _isas[<int> ISAS.index(name)].kernels[1 if dtype == np.float64 else 0]


cdef bint blas_outruns(const fm_kernels *kernels) noexcept nogil:
    """Whether BLAS may know the processor better than these kernels do."""
    return kernels.portable and fm_blas_is_wider()


def apply(str name, x, isa=None, *, bint slope=False):
    """Apply an elementwise function of the activation table, or its derivative, in place.

    Parameters
    ----------
    name : str
        A row of the table: an activation, ``"exp"``, ``"log"`` or ``"cos"``.
    x : ndarray of float32 or float64, C-contiguous and writable
        Any shape; overwritten.
    isa : str, default=None
        Instruction set; None takes the default.
    slope : bool, default=False
        Replace each element z by f'(z), as training computes it, in place of f(z).

    Returns
    -------
    x : ndarray
        The same array.
    """
    if name == "softmax":
        raise ValueError("softmax works on rows, not on elements")
    cdef const fm_kernels *kernels = kernels_for(x.dtype, isa)
    cdef int number = activation_number(name)
    cdef bint keeps_z = slope and kernels.map[number] != NULL
    cdef fm_epilogue function = kernels.forward[FM_ACTIVATION_identity if keeps_z else number]
    cdef ptrdiff_t piece = 512, itemsize = x.dtype.itemsize, done = 0, count = x.size, n
    arena = Arena()
    arena.reserve("values", piece * itemsize)
    arena.reserve("bias", piece * itemsize)
    if slope:
        arena.reserve("ones", piece * itemsize)
        arena.reserve("slopes", piece * itemsize)
    arena.allocate()
    # x + -0.0 is x for every x, -0.0 included
    arena.view("bias", (piece,), x.dtype).fill(-0.0)
    cdef char *values = arena.pointer("values")
    cdef char *bias = arena.pointer("bias")
    cdef char *ones = NULL
    cdef char *result = values
    if slope:
        arena.view("ones", (piece,), x.dtype).fill(1)
        ones = arena.pointer("ones")
        result = arena.pointer("slopes")
    cdef char *data = data_of(x, True)
    with nogil:
        while done < count:
            n = min(piece, count - done)
            memcpy(values, data + done * itemsize, n * itemsize)
            function(values, bias, 1, piece, piece)
            if slope:
                memcpy(result, ones, piece * itemsize)
                kernels.backward[number](result, values, 1, piece, piece)
            memcpy(data + done * itemsize, result, n * itemsize)
            done += n
    return x


def logarithm(x):
    """Natural logarithm in place, as :func:`apply` with ``"log"``."""
    return apply("log", x)


cdef _check_rows(array, str name, bint columns_serve):
    """Refuse a matrix whose rows are not contiguous, nor, if they serve, its columns."""
    cdef ptrdiff_t itemsize = array.itemsize
    if any(stride % itemsize or stride < 0 for stride in array.strides):
        raise ValueError(f"{name}: strides {array.strides} are not whole elements")
    if array.strides[1] != itemsize and array.shape[1] > 1 and array.size and not (
        columns_serve and (array.strides[0] == itemsize or array.shape[0] == 1)
    ):
        raise ValueError(f"{name}: rows are not contiguous")


def product(a, b, out, *, accumulate=False, isa=None):
    """The fused product, by itself: out = a @ b, or out += a @ b.

    Parameters
    ----------
    a : ndarray of shape (m, depth)
        float32 or float64; its rows or its columns contiguous (``x.T`` of a C-contiguous array has such columns).
    b : ndarray of shape (depth, n)
        Of the same dtype, its rows contiguous.
    out : ndarray of shape (m, n)
        Likewise; overwritten.
    accumulate : bool, default=False
        Add to what is in `out`.
    isa : str, default=None
        Instruction set; None takes the default.

    Returns
    -------
    out : ndarray
        The same array. Each element is one chain of multiply-adds in ascending depth (of fused ones where the
        instruction set has them), but for products of a few columns, which are folded from lanes.

    Raises
    ------
    ValueError
        If shapes, dtypes or strides are others.
    """
    cdef const fm_kernels *kernels = kernels_for(out.dtype, isa)
    cdef ptrdiff_t itemsize = out.dtype.itemsize, m, n, depth
    (m, depth), n = a.shape, b.shape[1]
    if a.dtype != out.dtype or b.dtype != out.dtype or b.shape[0] != depth or out.shape != (m, n):
        raise ValueError(f"a {a.shape}, b {b.shape}, out {out.shape} of {a.dtype}, {b.dtype}, {out.dtype}")
    _check_rows(a, "a", True)
    _check_rows(b, "b", False)
    _check_rows(out, "out", False)
    cdef bint by_rows = a.strides[1] == itemsize or depth == 1
    kernels.product(
        strided_data_of(out, True), out.strides[0] // itemsize,
        strided_data_of(a, False), a.strides[0] // itemsize if by_rows else 1,
        1 if by_rows else a.strides[1] // itemsize, strided_data_of(b, False), b.strides[0] // itemsize,
        m, n, depth, accumulate, NULL, NULL, 0)
    return out


def transpose(a, out):
    """out = a.T

    Parameters
    ----------
    a : ndarray of shape (m, n)
        float32 or float64, its rows contiguous.
    out : ndarray of shape (n, m)
        Likewise, of the same dtype; overwritten.

    Raises
    ------
    ValueError
        If shapes, dtypes or strides are others.
    """
    cdef const fm_kernels *kernels = kernels_for(out.dtype, None)
    cdef ptrdiff_t itemsize = out.dtype.itemsize, m, n
    m, n = a.shape
    if a.dtype != out.dtype or out.shape != (n, m):
        raise ValueError(f"a {a.shape}, out {out.shape} of {a.dtype}, {out.dtype}")
    _check_rows(a, "a", False)
    _check_rows(out, "out", False)
    kernels.transpose(strided_data_of(out, True), out.strides[0] // itemsize,
                      strided_data_of(a, False), a.strides[0] // itemsize, m, n)


def layer_kernels(dtype, isa=None):
    """Where the kernels of layers over tables, of windows and of cells are, for calls by :mod:`ctypes`.

    Parameters
    ----------
    dtype : float32 or float64
    isa : str, default=None
        Instruction set; None takes the default.

    Returns
    -------
    addresses : dict
        Name -> address of a function; ``simd/tables.h`` has their arguments.
    """
    cdef const fm_kernels *kernels = kernels_for(np.dtype(dtype), isa)
    cdef void **first = <void **> &kernels.scale
    return {fm_layer_kernel_names[i].decode(): <size_t> first[i] for i in range(FM_N_LAYER_KERNELS)}


def fma_peak(dtype, double seconds=0.2):
    """Measure what one core can do: independent fused multiply-adds in registers.

    Parameters
    ----------
    dtype : float32 or float64
    seconds : float, default=0.2
        How long to measure; the best of short stretches counts.

    Returns
    -------
    rate : float
        Floating-point operations a second (a multiply-add is two) of this thread's core.
    """
    cdef const fm_kernels *kernels = kernels_for(np.dtype(dtype), None)
    cdef ptrdiff_t iterations = 2000
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        with nogil:
            kernels.multiply_adds(iterations)
        best = max(best, 2.0 * FM_PEAK_FLOPS * iterations / (time.perf_counter() - start))
    return best
