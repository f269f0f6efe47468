"""Fitted models as ONNX graphs: a model of its own, and nodes among those of a pipeline that skl2onnx converts."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from ..training.arrays import fits_precision
from .layers import SELU_ALPHA, SELU_SCALE, network_of

__all__ = ["convert", "needs", "parse_classifier", "set_types", "to_onnx"]

_OLDEST_OPSET = 15
_MOST_BYTES = 2**31 - 2**20  # what protobuf serialises, less a megabyte for all but the weights


class _Graph:
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
        """Add a node; its inputs are names, arrays or numbers. Returns the name of its output, or a list of several."""
        inputs = [
            a if isinstance(a, str) else self.constant(a if isinstance(a, np.ndarray) else np.array(a, self.dtype))
            for a in inputs
        ]
        outputs = [self._new_name(operator) for _ in range(n_outputs or 1)]
        self.nodes.append((operator, inputs, outputs, attributes))
        return outputs[0] if n_outputs is None else outputs


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

    formula: Callable[[_Graph, str], str]
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


def _activate(g, name, z):
    row = _ACTIVATIONS[name]
    if row.operator is not None and g.opset >= row.since and g.dtype == np.float32:
        return g.add(row.operator, z, **row.attributes)
    return row.formula(g, z)


def _forward(g, network, a):
    """Nodes of the layers on an input's name: the outputs' name, with several outputs of classes a list of them."""
    layers = network.layers
    n_bytes = sum(layer.coef.size + layer.intercept.size for layer in layers) * g.dtype.itemsize
    if n_bytes > _MOST_BYTES:
        raise ValueError(f"The weights and biases take {n_bytes:,} bytes in {g.dtype}: ONNX files hold up to 2 GiB.")
    for i, layer in enumerate(layers):
        parameters = []
        for name, values in zip((network.weights, network.biases), layer[:2], strict=True):
            if values.dtype.itemsize > g.dtype.itemsize and not fits_precision(values, g.dtype):
                raise ValueError(f"{name.format(i)} has values beyond {g.dtype}, in which the graph computes.")
            parameters.append(values.astype(g.dtype, copy=False))
        a = g.add("Gemm", a, *parameters)
        if layer is layers[-1] and network.target == "multioutput":
            segments = network.segments
            parts = g.add("Split", a, np.array(segments, np.int64), n_outputs=len(segments), axis=1)
            return [_activate(g, layer.activation, part) for part in parts]
        a = _activate(g, layer.activation, a)
    return a


class _Output(NamedTuple):
    """What a graph hands out."""

    name: str
    dtype: np.dtype  # object for strings
    width: int | None = None  # columns, None for a vector
    is_sequence: bool = False  # of matrices with other widths


def _labels(classes):
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


def _class_labels(network, numbered):
    """The labels of each output of classes, their positions if `numbered`."""
    labels = [np.arange(len(classes), dtype=np.int64) if numbered else _labels(classes) for classes in network.classes]
    if len({part.dtype for part in labels}) > 1:
        raise ValueError("classes_ must be strings, or whole numbers, of all outputs: labels have one type in ONNX.")
    return labels


def _outputs(network, dtype, numbered=False):
    """What the graph of a network hands out, as a list of `_Output`."""
    width = network.n_outputs
    if network.target == "regression":
        return [_Output("variable", dtype, width)]
    if network.target == "multilabel":  # whose labels are 0 and 1
        label = _Output("label", np.dtype(np.int64), width)
    else:
        labels = _class_labels(network, numbered)
        label = _Output("label", labels[0].dtype, len(labels) if network.target == "multioutput" else None)
    if network.target == "multioutput":
        return [label, _Output("probabilities", dtype, is_sequence=True)]
    if network.activation == "identity":
        return [label, _Output("scores", dtype, None if width == 1 else width)]
    return [label, _Output("probabilities", dtype, max(width, 2))]


def _model(g, network, a, numbered=False):
    """Nodes of a network on its input's name: the names of its outputs, in the order of `_outputs`.

    For two classes scores are one column yet.
    """
    outputs = _forward(g, network, a)
    if network.target == "regression":
        if network.ranks is not None:
            width = np.array([network.n_outputs], np.int64)
            ascending, _ = g.add("TopK", outputs, width, n_outputs=2, axis=1, largest=0)
            outputs = g.add("Gather", ascending, network.ranks.astype(np.int64), axis=1)
        return [outputs]
    labels = _class_labels(network, numbered)
    if network.target == "multioutput":
        columns = [
            g.add("Gather", part_labels, g.add("ArgMax", part, axis=1, keepdims=1))
            for part_labels, part in zip(labels, outputs, strict=True)
        ]
        return [g.add("Concat", *columns, axis=1), g.add("SequenceConstruct", *outputs)]
    if network.target == "class" and network.n_outputs > 1:
        return [g.add("Gather", labels[0], g.add("ArgMax", outputs, axis=1, keepdims=0)), outputs]
    scores = network.activation == "identity"
    yes = g.add("Cast", g.add("Greater", outputs, 0.0 if scores else 0.5), to=_element_type(np.int64))
    if network.target == "multilabel":
        return [yes, outputs]
    no_and_yes = labels[0][[0, -1]]  # one class alone has no second
    label = g.add("Gather", no_and_yes, g.add("Squeeze", yes, np.array([1], np.int64)))
    if scores:
        return [label, outputs]
    return [label, g.add("Concat", g.add("Sub", 1.0, outputs), outputs, axis=1)]


def _element_type(dtype):
    """ONNX's number for a dtype."""
    from onnx.helper import np_dtype_to_tensor_dtype

    return np_dtype_to_tensor_dtype(np.dtype(dtype))


def needs(module, what):
    """What to raise where a module is missing."""
    return ImportError(f'{what} needs {module}: pip install "fastmlp[onnx]"')


def to_onnx(estimator, *, dtype="float32", opset=18):
    """The ONNX model of a fitted estimator, as `ExportMixin.to_onnx` says."""
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise needs("onnx", "to_onnx") from error
    if dtype not in ("float32", "float64", np.float32, np.float64):
        raise ValueError(f"dtype={dtype!r} must be 'float32' or 'float64'.")
    from .. import __version__

    names = []

    def new_name(base):
        names.append(f"{base.lower()}_{len(names)}")
        return names[-1]

    g = _Graph(np.dtype(dtype), opset, new_name)
    network = network_of(estimator)
    results = _model(g, network, "X")
    described = _outputs(network, g.dtype)
    if described[-1].width is None and not described[-1].is_sequence:
        results[-1] = g.add("Squeeze", results[-1], np.array([1], np.int64))
    final = {result: output.name for result, output in zip(results, described, strict=True)}
    nodes = [
        helper.make_node(operator, [final.get(a, a) for a in inputs], [final.get(a, a) for a in outputs], **attributes)
        for operator, inputs, outputs, attributes in g.nodes
    ]
    infos = []
    for output in described:
        element = _element_type(output.dtype)
        if output.is_sequence:
            infos.append(helper.make_tensor_sequence_value_info(output.name, element, ["n_samples", None]))
        else:
            shape = ["n_samples"] if output.width is None else ["n_samples", output.width]
            infos.append(helper.make_tensor_value_info(output.name, element, shape))
    given = helper.make_tensor_value_info("X", _element_type(g.dtype), ["n_samples", network.n_features])
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        helper.make_graph(nodes, type(estimator).__name__, [given], infos, g.constants),
        opset_imports=imports,
        ir_version=helper.find_min_ir_version_for(imports),
        producer_name="fastmlp",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


# skl2onnx


def _numbered(scope, operator, network):
    """Whether skl2onnx's option asks for positions in place of labels."""
    is_option = network.target != "regression"
    return is_option and bool(scope.get_options(operator.raw_operator, {"nocl": False})["nocl"])


def _has_scores_of_two(network):
    """Whether skl2onnx wants scores of both classes where there is one, with opposite signs."""
    return network.target == "class" and network.activation == "identity" and network.n_outputs == 1


def _precision_of(variable):
    """What numbers of this type are computed in."""
    from skl2onnx.common.data_types import DoubleTensorType

    return np.dtype(np.float64 if isinstance(variable.type, DoubleTensorType) else np.float32)


def set_types(operator):
    """skl2onnx's shape calculator: the types of an operator's outputs."""
    from skl2onnx.common import data_types as types
    from skl2onnx.common.utils import check_input_and_output_numbers, check_input_and_output_types

    network = network_of(operator.raw_operator)
    numbered = _numbered(operator.scope_inst, operator, network)
    described = _outputs(network, _precision_of(operator.inputs[0]), numbered)
    if _has_scores_of_two(network):
        described[-1] = described[-1]._replace(width=2)
    check_input_and_output_numbers(operator, input_count_range=1, output_count_range=len(described))
    numbers = [types.BooleanTensorType, types.DoubleTensorType, types.FloatTensorType, types.Int64TensorType]
    check_input_and_output_types(operator, good_input_types=numbers)
    kinds = {
        "float32": types.FloatTensorType,
        "float64": types.DoubleTensorType,
        "int64": types.Int64TensorType,
        "object": types.StringTensorType,
    }
    n_samples = operator.inputs[0].get_first_dimension()
    for variable, output in zip(operator.outputs, described, strict=True):
        kind = kinds[output.dtype.name]
        if output.is_sequence:
            variable.set_type(types.SequenceType(kind([n_samples, None])))
        else:
            variable.set_type(kind([n_samples] if output.width is None else [n_samples, output.width]))


def convert(scope, operator, container):
    """skl2onnx's converter: the nodes of an operator."""
    from sklearn.ensemble import StackingClassifier

    network = network_of(operator.raw_operator)
    numbered = _numbered(scope, operator, network)
    g = _Graph(_precision_of(operator.inputs[0]), container.target_opset, scope.get_unique_variable_name)
    a = g.add("Cast", operator.inputs[0].full_name, to=_element_type(g.dtype))
    results = _model(g, network, a, numbered)
    if _has_scores_of_two(network):
        stacks = [other.raw_operator for other in scope.operators.values()]
        stacks = [other for other in stacks if isinstance(other, StackingClassifier)]
        # skl2onnx would stack both columns
        if any(stack.final_estimator_ is not operator.raw_operator for stack in stacks):
            raise ValueError(
                "loss='hinge' and Perceptron, with two classes, cannot be converted within a StackingClassifier."
            )
        results[-1] = g.add("Concat", g.add("Neg", results[-1]), results[-1], axis=1)
    for constant in g.constants:
        if constant.string_data:
            values = list(constant.string_data)
            container.add_initializer(constant.name, constant.data_type, list(constant.dims), values)
        else:
            container.add_initializer(constant.name, constant.data_type, list(constant.dims), constant)
    for name, inputs, outputs, attributes in g.nodes:
        container.add_node(name, inputs, outputs, name=scope.get_unique_operator_name(name), **attributes)
    for result, variable in zip(results, operator.outputs, strict=True):
        container.add_node("Identity", result, variable.full_name, name=scope.get_unique_operator_name("Identity"))


def parse_classifier(scope, model, inputs, custom_parsers=None):
    """skl2onnx's parser: its own, but for several outputs of classes, whose probabilities are a sequence."""
    from skl2onnx._parse import _get_sklearn_operator_name, _parse_sklearn_classifier
    from skl2onnx.common.data_types import Int64TensorType, SequenceType, guess_tensor_type

    network = network_of(model)
    if network.target != "multioutput":
        one_class = network.target == "class" and len(model.classes_) == 1
        if one_class and scope.get_options(model, {"zipmap": True})["zipmap"]:
            raise ValueError(f"classes_={model.classes_} is one class with two probabilities: it needs zipmap=False.")
        return _parse_sklearn_classifier(scope, model, inputs, custom_parsers)
    operator = scope.declare_local_operator(_get_sklearn_operator_name(type(model)), model)
    operator.inputs = inputs
    probabilities = SequenceType(guess_tensor_type(inputs[0].type))
    for name, kind in (("label", Int64TensorType()), ("probabilities", probabilities)):
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return operator.outputs
