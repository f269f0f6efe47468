"""What ONNX graphs of fitted models are made of: nodes and constants, activations, labels, the model around them."""

import math
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from .layers import SELU_ALPHA, SELU_SCALE

__all__ = [
    "Graph",
    "Value",
    "activate",
    "check_size",
    "element_type",
    "graph_of",
    "in_order",
    "joined",
    "labels_of",
    "model_of",
    "needs",
]

_OLDEST_OPSET = 15
_OPSETS = {"ai.onnx.ml": 2}  # versions of other operators' domains
_MOST_BYTES = 2**31 - 2**20  # what protobuf serialises, less a megabyte for all but the weights


class Graph:
    """Nodes and constants in order.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the numbers in it.
    opset : int
        Version of the operators.
    new_name : callable
        Makes a name that is not taken from one that says what it is.
    """

    def __init__(self, dtype, opset, new_name):
        import onnx

        latest = onnx.defs.onnx_opset_version()
        if not _OLDEST_OPSET <= opset <= latest:
            raise ValueError(f"opset={opset!r} must be from {_OLDEST_OPSET} to {latest}, the installed onnx's latest.")
        self.dtype, self.opset = dtype, opset
        self.nodes = []  # (operator, inputs, outputs, attributes)
        self.constants = []  # TensorProto
        self._new_name = new_name

    def constant(self, values):
        """The name of a constant: an array, of numbers or of str in dtype object."""
        from onnx.numpy_helper import from_array

        self.constants.append(from_array(values, self._new_name("constant")))
        return self.constants[-1].name

    def add(self, operator, *inputs, n_outputs=None, **attributes):
        """Add a node; its inputs are names, arrays or numbers. Returns the name of its output, or a list of several.

        Floats of Python become those of the graph's precision, NumPy's keep their own; integers become int64.
        """
        inputs = [a if isinstance(a, str) else self.constant(self._array(a)) for a in inputs]
        outputs = [self._new_name(operator) for _ in range(n_outputs or 1)]
        self.nodes.append((operator, inputs, outputs, attributes))
        return outputs[0] if n_outputs is None else outputs

    def _array(self, a):
        a = np.array(a, self.dtype) if isinstance(a, float) and not isinstance(a, np.generic) else np.asarray(a)
        return a.astype(np.int64) if a.dtype.kind in "iu" else a


def joined(g, parts):
    """Matrices side by side; None if there are none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return g.add("Concat", *parts, axis=1)


def in_order(g, outputs, ranks):
    """Sorted rows of outputs: in each place the output of its rank, 0 for the least."""
    ascending, _ = g.add("TopK", outputs, np.array([len(ranks)], np.int64), n_outputs=2, axis=1, largest=0)
    return g.add("Gather", ascending, ranks.astype(np.int64), axis=1)


# Activations by formulas. The operators in them are those that ONNX Runtime has in both precisions; where z times a
# vanishing factor has a limit they divide by what may overflow, so that the limit comes out.


def _bounded_expm1(g, z):
    """exp(min(z, 0)) - 1"""
    return g.add("Sub", g.add("Exp", g.add("Min", z, 0.0)), 1.0)


def _elu(g, z):
    return g.add("Add", g.add("Max", z, 0.0), _bounded_expm1(g, z))


def _selu(g, z):
    below = g.add("Mul", _bounded_expm1(g, z), SELU_SCALE * SELU_ALPHA)
    return g.add("Add", g.add("Mul", g.add("Max", z, 0.0), SELU_SCALE), below)


def _softplus(g, z):
    """max(z, 0) + log(1 + exp(-|z|))"""
    e = g.add("Exp", g.add("Neg", g.add("Abs", z)))
    return g.add("Add", g.add("Max", z, 0.0), g.add("Log", g.add("Add", e, 1.0)))


def _relu6(g, z):
    return g.add("Clip", z, 0.0, 6.0)


def _hard_sigmoid(g, z):
    return g.add("Div", _relu6(g, g.add("Add", z, 3.0)), 6.0)


def _gated(g, z, u):
    """z logistic(u)"""
    return g.add("Div", z, g.add("Add", g.add("Exp", g.add("Neg", u)), 1.0))


def _gelu_tanh(g, z):
    """z logistic(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3)"""
    scale = 2 * math.sqrt(2 / math.pi)
    factor = g.add("Add", g.add("Mul", g.add("Mul", z, z), 0.044715 * scale), scale)
    return _gated(g, z, g.add("Mul", z, factor))


def _mish(g, z):
    """z n / (n + 2), n = e (e + 2), e = exp(z); the quotient is 1 from z = 20 on."""
    e = g.add("Exp", g.add("Min", z, 20.0))
    n = g.add("Mul", e, g.add("Add", e, 2.0))
    return g.add("Mul", z, g.add("Div", n, g.add("Add", n, 2.0)))


def _gelu(g, z):
    if g.dtype == np.float32:
        both = g.add("Add", g.add("Erf", g.add("Mul", z, math.sqrt(0.5))), 1.0)
        return g.add("Mul", g.add("Mul", z, 0.5), both)
    # ONNX Runtime has no erf in float64. With a = |z| gelu is max(z, 0) - a exp(-a^2 / 2) erfcx(a / sqrt(2)) / 2, and
    # erfcx(x) = t p(2 t - 1) for t = 2 / (2 + x), p a polynomial: Press et al. (2007), section 6.2.2.
    p = chebyshev.cheb2poly(chebyshev.chebinterpolate(lambda s: erfcx(4 / (1 + s) - 2) * 2 / (1 + s), 22))
    a = g.add("Abs", z)
    t = g.add("Div", 1.0, g.add("Add", g.add("Mul", a, math.sqrt(0.125)), 1.0))
    s = g.add("Sub", g.add("Mul", t, 2.0), 1.0)
    q = p[-1]
    for coefficient in p[-2::-1]:
        q = g.add("Add", g.add("Mul", s, q), coefficient)
    density = g.add("Exp", g.add("Mul", g.add("Mul", a, a), -0.5))
    tail = g.add("Mul", g.add("Mul", density, t), g.add("Mul", q, 0.5))
    return g.add("Sub", g.add("Max", z, 0.0), g.add("Mul", a, tail))


class _Activation(NamedTuple):
    """One row: nodes for any opset and precision, and the standard's own operator where it is as exact in float32."""

    formula: Callable[[Graph, str], str]
    operator: str | None = None
    since: int = _OLDEST_OPSET
    attributes: dict[str, Any] = {}  # noqa: RUF012


_ACTIVATIONS = {
    "identity": _Activation(lambda g, z: z),
    "logistic": _Activation(lambda g, z: g.add("Sigmoid", z)),
    "tanh": _Activation(lambda g, z: g.add("Tanh", z)),
    "relu": _Activation(lambda g, z: g.add("Relu", z)),
    "leaky_relu": _Activation(lambda g, z: g.add("Max", z, g.add("Mul", z, 0.01)), "LeakyRelu"),
    "relu6": _Activation(_relu6),
    "elu": _Activation(_elu, "Elu"),
    "selu": _Activation(_selu, "Selu"),
    "softplus": _Activation(_softplus, "Softplus"),
    "softsign": _Activation(lambda g, z: g.add("Div", z, g.add("Add", g.add("Abs", z), 1.0)), "Softsign"),
    "hard_sigmoid": _Activation(_hard_sigmoid, "HardSigmoid", attributes={"alpha": 1 / 6}),
    "hard_swish": _Activation(lambda g, z: g.add("Mul", z, _hard_sigmoid(g, z)), "HardSwish"),
    "silu": _Activation(lambda g, z: _gated(g, z, z)),
    "gelu": _Activation(_gelu, "Gelu", 20),
    "gelu_tanh": _Activation(_gelu_tanh),
    "mish": _Activation(_mish, "Mish", 18),
    "exp": _Activation(lambda g, z: g.add("Exp", z)),
    "softmax": _Activation(lambda g, z: g.add("Softmax", z, axis=1)),
}


def activate(g, name, z):
    row = _ACTIVATIONS[name]
    if row.operator is not None and g.opset >= row.since and g.dtype == np.float32:
        return g.add(row.operator, z, **row.attributes)
    return row.formula(g, z)


class Value(NamedTuple):
    """What a graph takes or hands out."""

    name: str
    dtype: np.dtype  # object for strings
    width: int | None = None  # columns, None for a vector
    is_sequence: bool = False  # of matrices with other widths
    description: str = ""

    def info(self):
        """ONNX's description."""
        from onnx import helper

        element = element_type(self.dtype)
        if self.is_sequence:
            return helper.make_tensor_sequence_value_info(self.name, element, ["n_samples", None], self.description)
        shape = ["n_samples"] if self.width is None else ["n_samples", self.width]
        return helper.make_tensor_value_info(self.name, element, shape, self.description)


def labels_of(classes):
    """Classes as int64 or, strings, as objects.

    Raises
    ------
    ValueError
        If they are neither strings nor whole numbers of 64 bits.
    """
    values = classes.tolist()
    if all(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    try:
        whole = [int(value) for value in values]
        if whole == values:
            return np.array(whole, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"classes_ must be strings or whole numbers of 64 bits to be labels in ONNX, got {classes}.")


def element_type(dtype):
    """ONNX's number for a dtype."""
    from onnx.helper import np_dtype_to_tensor_dtype

    return np_dtype_to_tensor_dtype(np.dtype(dtype))


def needs(module, what):
    """What to raise where a module is missing."""
    return ImportError(f'{what} needs {module}: pip install "fastmlp[onnx]"')


def graph_of(dtype, opset, taken=()):
    """An empty graph for a model of its own.

    Parameters
    ----------
    dtype : {"float32", "float64"} or numpy.dtype
        Of the numbers in it.
    opset : int
        Version of the operators.
    taken : collection of str, default=()
        Names that its values must not have.

    Returns
    -------
    Graph

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If a parameter is refused.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise needs("onnx", "to_onnx") from error
    if dtype not in ("float32", "float64", np.float32, np.float64):
        raise ValueError(f"dtype={dtype!r} must be 'float32' or 'float64'.")
    numbers = count()
    return Graph(
        np.dtype(dtype),
        opset,
        lambda base: next(name for number in numbers if (name := f"{base.lower()}_{number}") not in taken),
    )


def check_size(n_numbers, dtype):
    """Raise ValueError if a file may not hold this many numbers."""
    n_bytes = n_numbers * np.dtype(dtype).itemsize
    if n_bytes > _MOST_BYTES:
        raise ValueError(f"The weights and biases take {n_bytes:,} bytes in {dtype}: ONNX files hold up to 2 GiB.")


def model_of(g, name, inputs, results, outputs):
    """The model around a graph.

    Parameters
    ----------
    g : Graph
    name : str
        Of the estimator's class.
    inputs : list of Value
    results : list of str
        Values of the graph, each made by a node.
    outputs : list of Value
        What they are handed out as.

    Returns
    -------
    onnx.ModelProto
        Checked.
    """
    import onnx
    from onnx import helper

    from .. import __version__  # which is there once all modules are

    final = {result: output.name for result, output in zip(results, outputs, strict=True)}
    nodes = [
        helper.make_node(operator, [final.get(a, a) for a in inputs], [final.get(a, a) for a in outputs], **attributes)
        for operator, inputs, outputs, attributes in g.nodes
    ]
    infos = [[value.info() for value in values] for values in (inputs, outputs)]
    domains = {attributes.get("domain", "") for *_, attributes in g.nodes} | {""}
    imports = [helper.make_opsetid(domain, _OPSETS.get(domain, g.opset)) for domain in sorted(domains)]
    model = helper.make_model(
        helper.make_graph(nodes, name, *infos, g.constants),
        opset_imports=imports,
        ir_version=helper.find_min_ir_version_for(imports),
        producer_name="fastmlp",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model
