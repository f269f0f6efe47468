"""Fitted models as ONNX graphs: a model of its own, and nodes among those of a pipeline that skl2onnx converts."""

from itertools import count

import numpy as np

from ..engine.architecture import GRU, LSTM, LayerNorm, Residual
from ..training.arrays import fits_precision
from .layers import network_of
from .onnx_nodes import Graph, Value, activate, check_size, element_type, graph_of, in_order, labels_of, model_of
from .onnx_recurrent import read_sequences
from .onnx_windows import in_planes, normalise, slide

__all__ = ["convert", "parse_classifier", "set_types", "to_onnx"]


def _forward(g, network, a):
    """Nodes of the layers on an input's name: the outputs' name, with several outputs of classes a list of them."""
    layers = network.layers
    check_size(sum(layer.coef.size + layer.intercept.size for layer in layers if layer.coef is not None), g.dtype)
    numbers, planes, added, left = count(), False, network.added, {-1: (a, False)}
    for i, layer in enumerate(layers):
        parameters = _parameters(g, network, layer, numbers)
        a, planes = _sums(g, layer, a, planes, parameters, left[added.get(i, -1)], network.n_features)
        if layer is layers[-1] and network.target == "multioutput":
            segments = network.segments
            parts = g.add("Split", a, np.array(segments, np.int64), n_outputs=len(segments), axis=1)
            return [activate(g, layer.activation, part) for part in parts]
        a = activate(g, layer.activation, a)
        left[i] = a, planes
    return a


def _parameters(g, network, layer, numbers):
    """The weights and biases of a layer that has them, in the precision of the graph."""
    if layer.coef is None:
        return []
    i, parameters = next(numbers), []
    for name, values in zip((network.weights, network.biases), layer[:2], strict=True):
        if values.dtype.itemsize > g.dtype.itemsize and not fits_precision(values, g.dtype):
            raise ValueError(f"{name.format(i)} has values beyond {g.dtype}, in which the graph computes.")
        parameters.append(values.astype(g.dtype, copy=False))
    return parameters


def _sums(g, layer, a, planes, parameters, added, n_features):
    """What a layer leaves before its activation, and whether that is planes, as `a` is or is not.

    `added` is what a residual connection adds, and whether that is planes; of other layers the rows of the network, of
    `n_features` numbers.
    """
    if layer.window is None:
        return g.add("Gemm", g.add("Flatten", a, axis=1) if planes else a, *parameters), False
    if isinstance(layer.window, GRU | LSTM):
        return read_sequences(g, layer.window, a, *parameters, (added[0], n_features)), False
    if isinstance(layer.window, LayerNorm | Residual) and len(layer.window.shape) == 1:
        is_planes, shaped = False, lambda a, planes: g.add("Flatten", a, axis=1) if planes else a
    else:
        is_planes, shaped = True, lambda a, planes: a if planes else in_planes(g, layer.window, a)
    a = shaped(a, planes)
    if isinstance(layer.window, Residual):
        return g.add("Add", a, shaped(*added)), is_planes
    return (normalise if isinstance(layer.window, LayerNorm) else slide)(g, layer.window, a, *parameters), is_planes


def _class_labels(network, numbered):
    """The labels of each output of classes, their positions if `numbered`."""
    labels = [np.arange(len(part), dtype=np.int64) if numbered else labels_of(part) for part in network.classes]
    if len({part.dtype for part in labels}) > 1:
        raise ValueError("classes_ must be strings, or whole numbers, of all outputs: labels have one type in ONNX.")
    return labels


def _outputs(network, dtype, numbered=False):
    """What the graph of a network hands out, as a list of `Value`."""
    width = network.n_outputs
    if network.target == "regression":
        return [Value("variable", dtype, width)]
    if network.target == "multilabel":  # whose labels are 0 and 1
        label = Value("label", np.dtype(np.int64), width)
    else:
        labels = _class_labels(network, numbered)
        label = Value("label", labels[0].dtype, len(labels) if network.target == "multioutput" else None)
    if network.target == "multioutput":
        return [label, Value("probabilities", dtype, is_sequence=True)]
    if network.activation == "identity":
        return [label, Value("scores", dtype, None if width == 1 else width)]
    return [label, Value("probabilities", dtype, max(width, 2))]


def _model(g, network, a, numbered=False):
    """Nodes of a network on its input's name: the names of its outputs, in the order of `_outputs`.

    For two classes scores are one column yet.
    """
    outputs = _forward(g, network, a)
    if network.target == "regression":
        if network.ranks is not None:
            outputs = in_order(g, outputs, network.ranks)
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
    yes = g.add("Cast", g.add("Greater", outputs, 0.0 if scores else 0.5), to=element_type(np.int64))
    if network.target == "multilabel":
        return [yes, outputs]
    no_and_yes = labels[0][[0, -1]]  # one class alone has no second
    label = g.add("Gather", no_and_yes, g.add("Squeeze", yes, np.array([1], np.int64)))
    if scores:
        return [label, outputs]
    return [label, g.add("Concat", g.add("Sub", 1.0, outputs), outputs, axis=1)]


def to_onnx(estimator, *, dtype="float32", opset=18):
    """The ONNX model of a fitted estimator, as `ExportMixin.to_onnx` says."""
    g = graph_of(dtype, opset)
    network = network_of(estimator)
    results = _model(g, network, "X")
    outputs = _outputs(network, g.dtype)
    if outputs[-1].width is None and not outputs[-1].is_sequence:
        results[-1] = g.add("Squeeze", results[-1], np.array([1], np.int64))
    given = Value("X", g.dtype, network.n_features)
    return model_of(g, type(estimator).__name__, [given], results, outputs)


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
    g = Graph(_precision_of(operator.inputs[0]), container.target_opset, scope.get_unique_variable_name)
    a = g.add("Cast", operator.inputs[0].full_name, to=element_type(g.dtype))
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
