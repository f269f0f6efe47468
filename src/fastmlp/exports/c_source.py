"""A fitted network as one file of C99 that needs nothing but <math.h> and <stdint.h>."""

from itertools import count
from math import prod

import numpy as np

from ..engine.architecture import GRU, LSTM
from .c_text import HELPERS, activated, check_options, dense, escaped, file_of, function, labels_of, single
from .c_windows import WINDOW_HELPERS, sliding
from .layers import network_of, told

__all__ = ["c_source"]

# How predict is called, by the network's target
_USAGE = {
    "regression": """\
float x[${NAME}_N_FEATURES], y[${NAME}_N_OUTPUTS];
${name}_predict(x, y);""",
    "class": """\
float x[${NAME}_N_FEATURES], scores[${NAME}_N_OUTPUTS];
int code = ${name}_predict(x);    its label is ${name}_classes[code]
${name}_$scores(x, scores);""",
    "multilabel": """\
float x[${NAME}_N_FEATURES], scores[${NAME}_N_OUTPUTS];
int labels[${NAME}_N_OUTPUTS];
${name}_predict(x, labels);    of each column 1 or 0
${name}_$scores(x, scores);""",
    "multioutput": """\
float x[${NAME}_N_FEATURES], scores[${NAME}_N_OUTPUTS];
int codes[${NAME}_N_TARGETS];
${name}_predict(x, codes);    the label of target 0 is ${name}_classes_0[codes[0]], and so on
${name}_$scores(x, scores);    those of target 0, then those of target 1, and so on""",
}


def _network(name, network, layers, dtype):
    """Definitions of the constants, and the body of the function that goes through the layers."""
    constants, calls, buffers = [], [], {}
    source, added = "x", network.added
    kept = {-1: "x"} | {i: f"kept{i}" for i in sorted(added.values()) if i >= 0}
    in_place = dtype == "int8" and all(layer.window is None for layer in layers)
    for i, (coef, intercept, activation, window) in enumerate(layers):
        target = "z" if i == len(layers) - 1 else "a" if in_place else kept.get(i, "ab"[i % 2])
        if window is not None:
            n_out = prod(window.shape_out)
            own, called = sliding(name, i, window, coef, intercept, source, target, kept.get(added.get(i)))
        else:
            n_out = len(intercept)
            own, called = dense(name, i, coef, intercept, source, target, dtype, any_size=i == 0)
        constants += own
        calls += called
        if target != "z":
            buffers[target] = max(n_out, buffers.get(target, 0))
            calls += activated(name, activation, target, n_out)
        source = target
    declared = [f"{name.upper()}_STORAGE float {buffer}[{size}];" for buffer, size in buffers.items()]
    if dtype == "int8":
        widest = max(len(layer.coef) for layer in layers if layer.window is None)
        declared += [f"{name.upper()}_STORAGE int16_t q[{widest}];", "float step;"]
    return constants, declared + calls


def _score_body(name, network, blocks):
    """What gives the outputs, or the probabilities of both classes where there is one output."""
    if network.ranks is not None:
        n = network.n_outputs
        sort = [f"{name.upper()}_STORAGE float z[{n}];", f"{name}_forward(x, z);", f"{name}_sort(z, {n});"]
        return [*sort, *(f"out[{k}] = z[{rank}];" for k, rank in enumerate(network.ranks))]
    forward = f"{name}_forward(x, out);"
    if network.activation == "softmax":
        return [forward, *(f"{name}_softmax(out{offset}, {size});" for offset, size in blocks)]
    if network.activation == "logistic" and network.target == "class":
        return [forward, f"out[1] = {name}_logistic(out[0]);", "out[0] = 1.0f - out[1];"]
    return [forward, *activated(name, network.activation, "out", network.n_outputs)]


def _predict_body(name, network, blocks):
    """What gives codes: the largest output, or the outputs above 0, are so before the activation already."""
    n = network.n_outputs
    if network.target == "class" and len(network.classes[0]) == 1:  # which has an output all the same
        return ["(void)x;", "return 0;"]
    forward = [f"{name.upper()}_STORAGE float z[{n}];", f"{name}_forward(x, z);"]
    if network.target == "class":
        return [*forward, "return z[0] > 0.0f;" if n == 1 else f"return {name}_argmax(z, {n});"]
    if network.target == "multilabel":
        return [*forward, f"for (int j = 0; j < {n}; j++) out[j] = z[j] > 0.0f;"]
    return [*forward, *(f"out[{k}] = {name}_argmax(z{offset}, {size});" for k, (offset, size) in enumerate(blocks))]


def _in_single(network):
    """The layers of a network, in float32."""
    layers, numbers = [], count()
    for layer in network.layers:
        if layer.coef is not None:
            i = next(numbers)
            layer = layer._replace(
                coef=single(layer.coef, network.weights.format(i)),
                intercept=single(layer.intercept, network.biases.format(i)),
            )
        layers.append(layer)
    return layers


def c_source(estimator, name, dtype):
    """The text of `SaveMixin.to_c`, which has the parameters."""
    check_options(name, dtype)
    network = network_of(estimator)
    if any(isinstance(layer.window, GRU | LSTM) for layer in network.layers):
        raise ValueError(f"to_c has no recurrent layers, which {type(estimator).__name__} has: to_onnx has them.")
    layers = _in_single(network)
    target, output = network.target, network.activation
    sizes = {"N_FEATURES": network.n_features, "N_OUTPUTS": network.n_outputs}
    labels = {f"_{k}" if target == "multioutput" else "": classes for k, classes in enumerate(network.classes)}
    if target == "multioutput":
        sizes["N_TARGETS"] = len(labels)
    elif target == "class" and output == "logistic":
        sizes["N_OUTPUTS"] = 2
    sizes |= {f"N_CLASSES{suffix.upper()}": len(classes) for suffix, classes in labels.items()}
    labels = [labels_of(f"{name}_classes{suffix}", classes) for suffix, classes in labels.items()]

    starts = np.cumsum((0, *network.segments[:-1])).tolist()
    blocks = [(f" + {start}" if start else "", size) for start, size in zip(starts, network.segments, strict=True)]
    scores = "predict_proba" if output in ("softmax", "logistic") else "decision_function"
    score_body = _score_body(name, network, blocks)
    if target == "regression":
        public = {f"void {name}_predict(const float *x, float *out)": score_body}
    else:
        predict = f"int {name}_predict(const float *x)"
        if target != "class":
            predict = f"void {name}_predict(const float *x, int *out)"
        public = {
            predict: _predict_body(name, network, blocks),
            f"void {name}_{scores}(const float *x, float *out)": score_body,
        }

    constants, forward = _network(name, network, layers, dtype)
    features = getattr(estimator, "feature_names_in_", ())
    return file_of(
        estimator,
        name,
        what="the network",
        layers=": " + ", ".join([f"{network.n_features} inputs", *map(told, layers)]),
        dtype=dtype,
        usage=_USAGE[target],
        rules="x must be finite, and no part of the output.",
        inputs=[f"x[{i}] is {escaped(feature)}" for i, feature in enumerate(features)],
        sizes=sizes,
        labels=labels,
        constants=constants,
        functions=[
            "/* The outputs before their activation */\n"
            + function(f"static void {name}_forward(const float *x, float *z)", forward)
        ],
        public=public,
        helpers=HELPERS | WINDOW_HELPERS,
        scores=scores,
    )
