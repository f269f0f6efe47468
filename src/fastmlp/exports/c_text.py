"""What C sources of fitted models are made of: functions, constants, and the file around them."""

import re
from string import Template

import numpy as np

from .layers import SELU_ALPHA, SELU_SCALE

__all__ = [
    "ACTIVATIONS",
    "HELPERS",
    "Constants",
    "activated",
    "array",
    "check_options",
    "dense",
    "escaped",
    "file_of",
    "float_literal",
    "floats",
    "function",
    "labels_of",
    "single",
]

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

# Functions of the file's own, each there if another calls it; a function may call only those after it
HELPERS = {
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
/* $name: $what of a fastmlp.$kind, written by fastmlp $version. C99, and valid C++11.
 *
 * Layers$layers.
 * Weights: $dtype. Constants: $flash bytes$aside; static scratch memory: $ram bytes.
 *
$usage
 *
$rules
 *
 * Compile this file with your project; a file that includes it with ${NAME}_DECLARATIONS defined gets the declarations
 * alone. The scratch memory is static: a call must end before the next begins. ${NAME}_STORAGE, where you define it,
 * takes the place of that static; defined as nothing, the memory is on the stack and the functions are reentrant.
$inputs */
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

$headers

#ifndef ${NAME}_STORAGE
#define ${NAME}_STORAGE static
#endif

$definitions
#endif /* ${NAME}_DECLARATIONS */
"""

_BYTES = {"int8_t": 1, "int16_t": 2, "int32_t": 4, "int64_t": 8, "float": 4, "double": 8}
_DTYPES = ("float32", "int8")


def check_options(name, dtype):
    """Raise ValueError for what is no name of a file's functions, or no type of weights."""
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name={name!r} must be a C identifier that begins with a letter.")
    if dtype not in _DTYPES:
        raise ValueError(f"dtype={dtype!r} must be one of {', '.join(map(repr, _DTYPES))}.")


def escaped(text):
    """A string literal that is ASCII, and that no comment, trigraph or template takes for anything else."""
    data = str(text).encode("utf-8", "backslashreplace")
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,:;()[]<>=+-%&'"
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in data) + '"'


def array(declaration, values):
    """The definition of an array of values that are text already."""
    rows = [", ".join(values[start : start + 8]) for start in range(0, len(values), 8)]
    return f"{declaration}[{len(values)}] = {{\n    " + ",\n    ".join(rows) + "\n};\n"


def floats(name, values):
    """The definition of an array of float32."""
    return array(f"static const float {name}", [*map(float_literal, values.ravel())])


def float_literal(value):
    """A float32 in C."""
    return f"{np.float32(value)!s}f"  # NumPy writes the digits that a float32 is read back from


class Constants:
    """Definitions of arrays, equal ones once.

    Parameters
    ----------
    name : str
        What their names begin with.
    """

    def __init__(self, name):
        self.name, self.definitions = name, []
        self._names = {}

    def _add(self, kind, what, values):
        """The name of an array of values that are text already; 0, a null pointer, if there are none."""
        key = (kind, *values)
        if values and key not in self._names:
            self._names[key] = f"{self.name}_{what}{len(self._names)}"
            self.definitions.append(array(f"static const {kind}{self._names[key]}", values))
        return self._names.get(key, "0")

    def floats(self, what, values):
        return self._add("float ", what, [*map(float_literal, np.ravel(values))])

    def doubles(self, what, values):
        return self._add("double ", what, [*map(repr, np.ravel(values).tolist())])

    def integers(self, what, values):
        return self._add("int32_t ", what, [*map(str, values)])

    def texts(self, what, values):
        return self._add("char *const ", what, [*map(escaped, values)])


def labels_of(name, classes):
    """The array of labels: integers where all are, else strings."""
    labels = classes.tolist()
    if not all(isinstance(label, int | float) and label == label // 1 and abs(label) < 2**63 for label in labels):
        return array(f"const char *const {name}", [escaped(label) for label in labels])
    if all(abs(label) < 2**31 for label in labels):
        return array(f"const int32_t {name}", [str(int(label)) for label in labels])
    return array(f"const int64_t {name}", [f"INT64_C({int(label)})" for label in labels])


def single(values, name):
    """An array of parameters as float32."""
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite in float32, in which the C source computes.")
    return values


def _quantised(coef):
    """W.T as 8-bit integers, and the step of each of its rows, a column of W of shape (n_in, n_out)."""
    steps = (np.abs(coef).max(axis=0) / 127).astype(np.float32)
    quotients = np.divide(coef, steps, out=np.zeros(coef.shape), where=steps > 0)
    return np.clip(np.rint(quotients.T), -127, 127).astype(int), steps


def dense(name, number, coef, intercept, source, target, dtype, any_size=False):
    """The sums of a layer: x W + b.

    Parameters
    ----------
    name : str
        What the names of all functions and constants begin with.
    number : str
        What tells its constants from those of other layers.
    coef : ndarray of float32 of shape (n_in, n_out)
    intercept : ndarray of float32 of shape (n_out,)
    source, target : str
        Arrays of float. "int8" has finished with the source when it comes to the target, which may be the same.
    dtype : {"float32", "int8"}
        Of the weights. "int8" needs an array q of int16_t and a variable step.
    any_size : bool, default=False
        Whether inputs may be of any size, for which their weights are to make up.

    Returns
    -------
    constants, calls : list of str
    """
    n_in, n_out = coef.shape
    W, b, scale, factor = (f"{name}_{what}{number}" for what in ("W", "b", "scale", "factor"))
    if dtype == "float32":
        call = f"{name}_product({W}, {b}, {source}, {n_in}, {target}, {n_out});"
        return [floats(W, coef.T), floats(b, intercept)], [call]
    constants = []
    if any_size:
        factors = np.abs(coef).max(axis=1)
        constants.append(floats(factor, factors))
        coef = np.divide(coef, factors[:, None], out=np.zeros(coef.shape), where=factors[:, None] > 0)
    weights, steps = _quantised(coef)
    constants += [
        array(f"static const int8_t {W}", [str(weight) for weight in weights.ravel().tolist()]),
        floats(scale, steps),
        floats(b, intercept),
    ]
    # with which no sum of products is beyond 32 bits
    limit = min(2**15 - 1, (2**31 - 1) // max(1, int(np.abs(weights).sum(axis=1).max())))
    return constants, [
        f"step = {name}_quantised({source}, {factor if any_size else 0}, {n_in}, {limit}, q);",
        f"{name}_integer_product({W}, {scale}, {b}, q, step, {n_in}, {target}, {n_out});",
    ]


def activated(name, activation, values, size):
    """What applies an activation to an array."""
    if activation == "identity":
        return []
    return [f"for (int j = 0; j < {size}; j++) {values}[j] = {name}_{activation}({values}[j]);"]


def function(signature, body):
    """A function of lines."""
    return f"{signature}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"


def _bytes(text, qualifier):
    """What the arrays declared in a text occupy."""
    arrays = re.findall(rf"{qualifier} (\w+) \w+\[(\d+)\]", text)
    return sum(_BYTES[kind] * int(size) for kind, size in arrays)


def _commented(text):
    """Lines of a comment."""
    return re.sub(" +$", "", re.sub("^", " * ", text, flags=re.MULTILINE), flags=re.MULTILINE)


def file_of(
    estimator,
    name,
    *,
    what,
    layers,
    dtype,
    usage,
    rules,
    inputs,
    sizes,
    labels,
    constants,
    functions,
    public,
    helpers=HELPERS,
    headers=("math.h",),
    **fields,
):
    """The text of a file.

    Parameters
    ----------
    estimator : object
    name : str
        What the names of all functions and constants begin with.
    what, layers, dtype : str
        For the first comment.
    usage, rules : str
        The same, with ${name}, ${NAME} and the other fields.
    inputs : list of str
        The same, a line for each input.
    sizes : dict of str to int
        Constants that callers see, without the name.
    labels, constants : list of str
        Definitions of arrays that callers see, and of others.
    functions : list of str
        Definitions of functions that callers do not see.
    public : dict of str to list of str
        Signatures and bodies of the others.
    helpers : dict of str to str, default=HELPERS
        What functions may call, by the names without that of the file.
    headers : sequence of str, default=("math.h",)
    fields : str
        Of the templates.
    """
    from .. import __version__  # which is there once all modules are

    fields |= {"name": name, "NAME": name.upper()}
    functions = [*functions, *(function(signature, body) for signature, body in public.items())]
    ram = _bytes("".join(functions), f"{name.upper()}_STORAGE")
    for key, helper in helpers.items():
        if any(f"{name}_{key}(" in one for one in functions):
            functions.insert(0, Template(helper).substitute(fields))
    declared = "\n".join(one.split(" = ")[0] for one in labels + constants)
    return Template(_FILE).substitute(
        fields,
        what=what,
        kind=type(estimator).__name__,
        version=__version__,
        layers=layers,
        dtype=dtype,
        flash=_bytes(declared, "const"),
        aside=" without texts" * ("const char" in declared),
        ram=ram,
        usage=_commented(re.sub("^", "    ", Template(usage).substitute(fields), flags=re.MULTILINE)),
        rules=_commented(Template(rules).substitute(fields)),
        inputs="".join(f"{_commented(line)}\n" for line in ["", *inputs] if inputs),
        headers="\n".join(f"#include <{header}>" for header in headers),
        constants="\n".join(f"#define {name.upper()}_{key} {value}" for key, value in sizes.items()),
        declarations="".join(f"extern {one.split(' = ')[0]};\n" for one in labels)
        + "".join(f"{signature};\n" for signature in public),
        definitions="\n".join(labels + constants + functions),
    )
