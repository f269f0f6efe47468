"""A fitted network as one file of C99 that needs nothing but <math.h> and <stdint.h>."""

import re
from string import Template

import numpy as np

from .layers import SELU_ALPHA, SELU_SCALE, Layer, network_of

__all__ = ["ACTIVATIONS", "c_source"]

# f(z) for a float z, without infinities on the way, so that -ffast-math may rule them out; a function may call only
# those after it. gelu_tanh has (1 + tanh(u)) / 2 = logistic(2 u); gelu's erfc keeps the digits that 1 + erf loses.
ACTIVATIONS = {
    "tanh": "return tanhf(z);",
    "relu": "return 0.0f > z ? 0.0f : z;",
    "leaky_relu": "return z > 0.0f ? z : 0.01f * z;",
    "relu6": "return z < 0.0f ? 0.0f : z > 6.0f ? 6.0f : z;",
    "elu": "return z > 0.0f ? z : expm1f(z);",
    "selu": f"return {SELU_SCALE:.9g}f * (z > 0.0f ? z : {SELU_ALPHA:.9g}f * expm1f(z));",
    "softsign": "return z / (1.0f + fabsf(z));",
    "hard_sigmoid": "return z < -3.0f ? 0.0f : z > 3.0f ? 1.0f : (z + 3.0f) / 6.0f;",
    "hard_swish": "return z < -3.0f ? 0.0f : z > 3.0f ? z : z * (z + 3.0f) / 6.0f;",
    "silu": "return z * ${name}_logistic(z);",
    "gelu": "return 0.5f * z * erfcf(-0.707106781f * z);",
    "gelu_tanh": "return z * ${name}_logistic(1.59576912f * z * (1.0f + 0.044715f * z * z));",
    "mish": "return z * tanhf(${name}_softplus(z));",
    "softplus": "return (z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z)));",
    "logistic": "const float e = expf(-fabsf(z)); return (z < 0.0f ? e : 1.0f) / (1.0f + e);",
    "exp": "return expf(z);",
}

# Functions of the file's own, each there if another calls it
_HELPERS = {
    **{key: f"static float ${{name}}_{key}(float z) {{ {body} }}\n" for key, body in ACTIVATIONS.items()},
    "softmax": """\
static void ${name}_softmax(float *z, int n)
{
    float top = z[0], sum = 0.0f;
    for (int j = 1; j < n; j++)
        if (z[j] > top) top = z[j];
    for (int j = 0; j < n; j++) {
        z[j] = expf(z[j] - top);
        sum += z[j];
    }
    for (int j = 0; j < n; j++) z[j] /= sum;
}
""",
    "argmax": """\
static int ${name}_argmax(const float *z, int n)
{
    int best = 0;
    for (int j = 1; j < n; j++)
        if (z[j] > z[best]) best = j;
    return best;
}
""",
    "sort": """\
/* Ascending, by insertion: the numbers are few, and mostly in order */
static void ${name}_sort(float *z, int n)
{
    for (int j = 1; j < n; j++) {
        const float value = z[j];
        int i = j;
        for (; i > 0 && z[i - 1] > value; i--) z[i] = z[i - 1];
        z[i] = value;
    }
}
""",
    "product": """\
/* z = W x + b, W of shape (n_out, n_in), row-major */
static void ${name}_product(const float *W, const float *b, const float *x, int n_in, float *z, int n_out)
{
    for (int j = 0; j < n_out; j++) {
        float sum = 0.0f;
        for (int i = 0; i < n_in; i++) sum += *W++ * x[i];
        z[j] = sum + b[j];
    }
}
""",
    "quantised": """\
/* q = x or, with a factor for each, factor x, in steps of the largest value / limit; returns the step */
static float ${name}_quantised(const float *x, const float *factor, int n, int limit, int16_t *q)
{
    float top = 0.0f;
    for (int i = 0; i < n; i++) {
        const float a = fabsf(factor ? factor[i] * x[i] : x[i]);
        if (a > top) top = a;
    }
    const float steps = top > 1e-30f ? (float)limit / top : 0.0f;
    for (int i = 0; i < n; i++) {
        const float v = steps * (factor ? factor[i] * x[i] : x[i]);
        q[i] = (int16_t)(v > 0.0f ? v + 0.5f : v < 0.0f ? v - 0.5f : 0.0f);
    }
    return top / (float)limit;
}
""",
    "integer_product": """\
/* z = W x + b, W of shape (n_out, n_in), row-major, in steps of scale, one for each row, x = step q */
static void ${name}_integer_product(const int8_t *W, const float *scale, const float *b, const int16_t *q, float step,
                                    int n_in, float *z, int n_out)
{
    for (int j = 0; j < n_out; j++) {
        int32_t sum = 0;
        for (int i = 0; i < n_in; i++) sum += (int32_t)*W++ * q[i];
        z[j] = (float)sum * (scale[j] * step) + b[j];
    }
}
""",
}

_FILE = """\
/* $name: the network of a fastmlp.$kind, written by fastmlp $version. C99, and valid C++11.
 *
 * Layers: $layers.
 * Weights: $dtype. Constants: $flash bytes$aside; static scratch memory: $ram bytes.
 *
$usage
 *
 * x must be finite, and no part of the output. Compile this file with your project; a file that includes it with
 * ${NAME}_DECLARATIONS defined gets the declarations alone. The scratch memory is static: a call must end before the
 * next begins. ${NAME}_STORAGE, where you define it, takes the place of that static; defined as nothing, the memory is
 * on the stack and the functions are reentrant.$features
 */
#include <stdint.h>

$constants

#ifdef __cplusplus
extern "C" {
#endif
$declarations
#ifdef __cplusplus
}
#endif

#ifndef ${NAME}_DECLARATIONS

#include <math.h>

#ifndef ${NAME}_STORAGE
#define ${NAME}_STORAGE static
#endif

$definitions
#endif /* ${NAME}_DECLARATIONS */
"""

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
_BYTES = {"int8_t": 1, "int16_t": 2, "int32_t": 4, "int64_t": 8, "float": 4}


def _escaped(text):
    """A string literal that is ASCII, and that no comment, trigraph or template takes for anything else."""
    data = str(text).encode("utf-8", "backslashreplace")
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,:;()[]<>=+-%&'"
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in data) + '"'


def _array(declaration, values):
    rows = [", ".join(values[start : start + 8]) for start in range(0, len(values), 8)]
    return f"{declaration}[{len(values)}] = {{\n    " + ",\n    ".join(rows) + "\n};\n"


def _floats(name, values):
    # NumPy writes the digits that a float32 is read back from
    return _array(f"static const float {name}", [f"{value}f" for value in values.ravel().astype(str)])


def _labels(name, classes):
    """The array of labels: integers where all are, else strings."""
    labels = classes.tolist()
    if not all(isinstance(label, int | float) and label == label // 1 and abs(label) < 2**63 for label in labels):
        return _array(f"const char *const {name}", [_escaped(label) for label in labels])
    if all(abs(label) < 2**31 for label in labels):
        return _array(f"const int32_t {name}", [str(int(label)) for label in labels])
    return _array(f"const int64_t {name}", [f"INT64_C({int(label)})" for label in labels])


def _single(array, name):
    """An array of parameters as float32."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if not np.isfinite(single).all():
        raise ValueError(f"{name} must be finite in float32, in which the C source computes.")
    return single


def _quantised(coef):
    """W.T as 8-bit integers, and the step of each of its rows, a column of W of shape (n_in, n_out)."""
    steps = (np.abs(coef).max(axis=0) / 127).astype(np.float32)
    quotients = np.divide(coef, steps, out=np.zeros(coef.shape), where=steps > 0)
    return np.clip(np.rint(quotients.T), -127, 127).astype(int), steps


def _float_network(name, layers):
    """Definitions of the constants, and the body of the function that goes through the layers."""
    constants, calls, buffers = [], [], {}
    source = "x"
    for i, (coef, intercept, activation) in enumerate(layers):
        n_in, n_out = coef.shape
        constants += [_floats(f"{name}_W{i}", coef.T), _floats(f"{name}_b{i}", intercept)]
        target = "z" if i == len(layers) - 1 else "ab"[i % 2]
        calls.append(f"{name}_product({name}_W{i}, {name}_b{i}, {source}, {n_in}, {target}, {n_out});")
        if target != "z":
            buffers[target] = max(n_out, buffers.get(target, 0))
            calls += _activated(name, activation, target, n_out)
        source = target
    return constants, [f"{name.upper()}_STORAGE float {buffer}[{size}];" for buffer, size in buffers.items()] + calls


def _integer_network(name, layers):
    """The same with weights of 8 bits, inputs of 16 and sums of 32."""
    constants, calls = [], []
    units = [layer.coef.shape[0] for layer in layers]
    source = "x"
    for i, (coef, intercept, activation) in enumerate(layers):
        n_in, n_out = coef.shape
        factor = "0"
        if i == 0:
            # features may be of any size, for which their weights make up
            factor, factors = f"{name}_factor", np.abs(coef).max(axis=1)
            constants.append(_floats(factor, factors))
            coef = np.divide(coef, factors[:, None], out=np.zeros(coef.shape), where=factors[:, None] > 0)
        weights, steps = _quantised(coef)
        constants += [
            _array(f"static const int8_t {name}_W{i}", [str(weight) for weight in weights.ravel().tolist()]),
            _floats(f"{name}_scale{i}", steps),
            _floats(f"{name}_b{i}", intercept),
        ]
        # with which no sum of products is beyond 32 bits
        limit = min(2**15 - 1, (2**31 - 1) // max(1, int(np.abs(weights).sum(axis=1).max())))
        target = "z" if i == len(layers) - 1 else "a"
        calls += [
            f"{'' if i else 'float '}step = {name}_quantised({source}, {factor}, {n_in}, {limit}, q);",
            f"{name}_integer_product({name}_W{i}, {name}_scale{i}, {name}_b{i}, q, step, {n_in}, {target}, {n_out});",
        ]
        if target == "a":
            calls += _activated(name, activation, target, n_out)
        source = target
    hidden = [f"{name.upper()}_STORAGE float a[{max(units[1:])}];"] if len(layers) > 1 else []
    return constants, [*hidden, f"{name.upper()}_STORAGE int16_t q[{max(units)}];", *calls]


_NETWORKS = {"float32": _float_network, "int8": _integer_network}


def _activated(name, activation, array, size):
    if activation == "identity":
        return []
    return [f"for (int j = 0; j < {size}; j++) {array}[j] = {name}_{activation}({array}[j]);"]


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
    return [forward, *_activated(name, network.activation, "out", network.n_outputs)]


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


def _function(signature, body):
    return f"{signature}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"


def _bytes(text, qualifier):
    """What the arrays declared in a text occupy."""
    arrays = re.findall(rf"{qualifier} (\w+) \w+\[(\d+)\]", text)
    return sum(_BYTES[kind] * int(size) for kind, size in arrays)


def c_source(estimator, name, dtype):
    """The text of `ExportMixin.to_c`, which has the parameters."""
    from .. import __version__  # which is there once all modules are

    if not isinstance(name, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name={name!r} must be a C identifier that begins with a letter.")
    if dtype not in _NETWORKS:
        raise ValueError(f"dtype={dtype!r} must be one of {', '.join(map(repr, _NETWORKS))}.")
    network = network_of(estimator)
    layers = [
        Layer(_single(coef, network.weights.format(i)), _single(intercept, network.biases.format(i)), activation)
        for i, (coef, intercept, activation) in enumerate(network.layers)
    ]
    target, output = network.target, network.activation
    sizes = {"N_FEATURES": network.n_features, "N_OUTPUTS": network.n_outputs}
    labels = {f"_{k}" if target == "multioutput" else "": classes for k, classes in enumerate(network.classes)}
    if target == "multioutput":
        sizes["N_TARGETS"] = len(labels)
    elif target == "class" and output == "logistic":
        sizes["N_OUTPUTS"] = 2
    sizes |= {f"N_CLASSES{suffix.upper()}": len(classes) for suffix, classes in labels.items()}
    labels = [_labels(f"{name}_classes{suffix}", classes) for suffix, classes in labels.items()]

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

    constants, forward = _NETWORKS[dtype](name, layers)
    functions = [
        "/* The outputs before their activation */\n"
        + _function(f"static void {name}_forward(const float *x, float *z)", forward),
        *(_function(signature, body) for signature, body in public.items()),
    ]
    ram = _bytes("".join(functions), f"{name.upper()}_STORAGE")
    fields = {"name": name, "NAME": name.upper(), "scores": scores}
    for key, helper in _HELPERS.items():
        if any(f"{name}_{key}(" in function for function in functions):
            functions.insert(0, Template(helper).substitute(fields))
    declared = "\n".join(array.split(" = ")[0] for array in labels + constants)
    features = getattr(estimator, "feature_names_in_", ())
    return Template(_FILE).substitute(
        fields,
        kind=type(estimator).__name__,
        version=__version__,
        layers=", ".join([f"{sizes['N_FEATURES']} inputs", *(f"{len(b)} {activation}" for _, b, activation in layers)]),
        dtype=dtype,
        flash=_bytes(declared, "const"),
        aside=" without the labels" * ("const char" in declared),
        ram=ram,
        usage=Template(re.sub("^", " *     ", _USAGE[target], flags=re.MULTILINE)).substitute(fields),
        features="\n *" * (len(features) > 0)
        + "".join(f"\n * x[{i}] is {_escaped(feature)}" for i, feature in enumerate(features)),
        constants="\n".join(f"#define {name.upper()}_{key} {value}" for key, value in sizes.items()),
        declarations="".join(f"extern {array.split(' = ')[0]};\n" for array in labels)
        + "".join(f"{signature};\n" for signature in public),
        definitions="\n".join(labels + constants + functions),
    )
