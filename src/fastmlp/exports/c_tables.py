"""A fitted model of tables as one file of C99: raw columns in, numbers and texts."""

import re

import numpy as np

from ..engine.architecture import Dense, Embedding, Indicators, Numbers, Parametric, Periodic, Piecewise, Scale
from .c_columns import COLUMN_HELPERS, encoded
from .c_text import (
    HELPERS,
    Constants,
    activated,
    check_options,
    dense,
    escaped,
    file_of,
    float_literal,
    function,
    labels_of,
    single,
)
from .tables import blocks_of, table_of

__all__ = ["table_to_c"]

# Functions of the file's own, each there if another calls it; a function may call only those after it
_HELPERS = {
    "copy": """\
static void ${name}_copy(const float *x, int n, float *z)
{
    for (int i = 0; i < n; i++) z[i] = x[i];
}
""",
    "periodic": """\
/* z = V cos(2 pi w x + b) + c of each of n numbers; p has w, b, V of shape (width, k) and c of each */
static void ${name}_periodic(const float *p, int k, int width, const float *x, int n, float *z)
{
    for (int j = 0; j < n; j++) {
        const float *w = p, *b = w + k, *V = b + k, *c = V + k * width;
        for (int m = 0; m < width; m++) z[m] = c[m];
        for (int f = 0; f < k; f++) {
            const float cosine = cosf(6.28318531f * w[f] * x[j] + b[f]);
            for (int m = 0; m < width; m++) z[m] += V[m * k + f] * cosine;
        }
        p = c + width;
        z += width;
    }
}
""",
    "piecewise": """\
/* z = w x + b + V e(x) of each of n numbers, e the shares of the bins between its edges; p has w, b and V of shape
 * (most bins, width) of each */
static void ${name}_piecewise(const float *p, const float *edges, const int32_t *bins, int most, int width,
                              const float *x, int n, float *z)
{
    for (int j = 0; j < n; j++) {
        const float *w = p, *b = w + width, *V = b + width;
        for (int m = 0; m < width; m++) z[m] = w[m] * x[j] + b[m];
        for (int t = 0; t < bins[j]; t++) {
            float share = (x[j] - edges[t]) / (edges[t + 1] - edges[t]);
            if (t > 0 && share < 0.0f) share = 0.0f;
            if (t < bins[j] - 1 && share > 1.0f) share = 1.0f;
            for (int m = 0; m < width; m++) z[m] += V[t * width + m] * share;
        }
        p = V + most * width;
        edges += most + 1;
        z += width;
    }
}
""",
    "indicators": """\
/* z = on for the levels that the n codes name, off for all others */
static void ${name}_indicators(const float *off, const float *on, const int32_t *levels, const int32_t *codes, int n,
                               float *z)
{
    for (int c = 0; c < n; c++)
        for (int l = 0; l < levels[c]; l++, off++, on++) *z++ = l == codes[c] ? *on : *off;
}
""",
    "embedding": """\
/* z = the row of E that each of n codes names, 0 for none */
static void ${name}_embedding(const float *E, int width, const int32_t *levels, const int32_t *codes, int n, float *z)
{
    for (int c = 0; c < n; c++) {
        for (int m = 0; m < width; m++) *z++ = codes[c] < 0 ? 0.0f : E[codes[c] * width + m];
        E += levels[c] * width;
    }
}
""",
    "scale": """\
static void ${name}_scale(const float *s, float *z, int n)
{
    for (int j = 0; j < n; j++) z[j] *= s[j];
}
""",
    **COLUMN_HELPERS,
    **HELPERS,
}
_RULES = """\
A gap in numbers is NAN; infinite numbers count as very large ones. Categories are told apart by their texts, in
UTF-8: a whole number is written as 3, another one as Python writes it, a bool as True or False. A null pointer is
a missing one. The arrays must be no part of the output."""


def table_to_c(estimator, name, dtype):
    """The text of `SaveMixin.to_c`, which has the parameters."""
    check_options(name, dtype)
    table = table_of(estimator)
    numeric, categorical = table.encoding.numeric, table.encoding.categorical
    sizes = {"N_NUMBERS": len(numeric), "N_CATEGORIES": len(categorical), "N_OUTPUTS": table.n_outputs}
    sizes = {key: size for key, size in sizes.items() if size}
    given = "const double *numbers, const char *const *categories"
    constants = Constants(name)
    body = _outputs(constants, table, dtype)
    labels = []
    if table.units is None:
        sizes["N_CLASSES"] = len(table.classes)
        labels = [labels_of(f"{name}_classes", table.classes)]
        z = [f"{name.upper()}_STORAGE float z[{table.n_outputs}];", f"{name}_outputs(numbers, categories, z);"]
        public = {
            f"int {name}_predict({given})": [*z, f"return {name}_argmax(z, {table.n_outputs});"],
            f"void {name}_predict_proba({given}, float *out)": [f"{name}_outputs(numbers, categories, out);"],
        }
    else:
        public = {f"void {name}_predict({given}, double *out)": _in_units(constants, table)}
    return file_of(
        estimator,
        name,
        what="the model",
        layers=_layers(table),
        dtype=dtype,
        usage=_usage(table, sizes),
        rules=_RULES,
        inputs=[
            *(f"numbers[{i}] is {_described(column)}" for i, column in enumerate(numeric)),
            *(f"categories[{i}] is {_described(column)}" for i, column in enumerate(categorical)),
        ],
        sizes=sizes,
        labels=labels,
        constants=constants.definitions,
        functions=[
            "/* The average of the members' outputs */\n"
            + function(f"static void {name}_outputs({given}, float *out)", body)
        ],
        public=public,
        helpers=_HELPERS,
        headers=("math.h", "string.h"),
    )


# The first comment


def _usage(table, sizes):
    """How the functions are called."""
    kinds = {"N_NUMBERS": ("double ", "numbers"), "N_CATEGORIES": ("const char *", "categories")}
    declared = [f"{kind}{array}[${{NAME}}_{key}];" for key, (kind, array) in kinds.items() if key in sizes]
    given = ", ".join(array if key in sizes else "0" for key, (_, array) in kinds.items())
    if table.units is not None:
        return "\n".join([*declared, "double y[${NAME}_N_OUTPUTS];", f"${{name}}_predict({given}, y);"])
    return "\n".join(
        [
            *declared,
            "float scores[${NAME}_N_OUTPUTS];",
            f"int code = ${{name}}_predict({given});    its label is ${{name}}_classes[code]",
            f"${{name}}_predict_proba({given}, scores);",
        ]
    )


def _layers(table):
    """The members by what they are made of."""
    of_members = [_described_layers(layers, parameters, table.activation) for layers, parameters, _ in table.members]
    counts = [(of_members.count(one), one) for one in dict.fromkeys(of_members)]
    return ";".join(f" of {count} member{'s' * (count > 1)}: {one}" for count, one in counts)


def _described_layers(layers, parameters, activation):
    _, (first, *others) = blocks_of(layers, parameters)
    parts = [f"{first.n_out} columns"]
    for block in others:
        ((layer, _),) = block.layers
        if isinstance(layer, Dense):
            parts.append(f"{layer.units} {layer.activation}")
        elif isinstance(layer, Parametric):
            parts[-1] = f"{block.n_out} {layer.activation}"
    return ", ".join([*parts[:-1], f"{layers[-1].units} {activation}"])


def _described(column):
    """What a comment says of a column."""
    name = escaped(column.name) if isinstance(column.name, str) else f"column {escaped(column.name)[1:-1]}"
    return f"{name}, seconds since 1970 in UTC" if column.role == "date" else name


# Networks


def _outputs(constants, table, dtype):
    """The body of what gives the average of the members' outputs, as float."""
    name, n_outputs, encoding = constants.name, table.n_outputs, table.encoding
    calls, sizes = [], {"x": 0, "codes": 0, "a": 0, "b": 0, "q": 0}
    for i, (layers, parameters, weight) in enumerate(table.members):
        own = [single(array, "The parameters of members_") for array in parameters]
        calls += [f"/* member {i} */", *_member(constants, f"{i}", layers, own, dtype, sizes)]
        if table.activation == "softmax":
            calls.append(f"{name}_softmax(z, {n_outputs});")
        else:
            calls += activated(name, table.activation, "z", n_outputs)
        added = f"{float_literal(weight)} * z[j]" if weight != 1 else "z[j]"
        calls.append(f"for (int j = 0; j < {n_outputs}; j++) out[j] {'+=' if i else '='} {added};")
    inputs = table.members[0][0][0]
    sizes |= {"x": inputs.n_features, "codes": len(inputs.levels), "z": n_outputs}
    kinds = {"codes": "int32_t", "q": "int16_t"}
    read = {"numbers": encoding.numeric, "categories": encoding.categorical}
    read |= {key: not sizes[key] or re.search(rf"[( ]{key}\b", "".join(calls)) for key in ("x", "codes")}
    return [
        *(f"{name.upper()}_STORAGE {kinds.get(key, 'float')} {key}[{n}];" for key, n in sizes.items() if n),
        *["float step;"] * (dtype == "int8"),
        *(f"(void){key};" for key, is_read in read.items() if not is_read),
        *encoded(constants, encoding),
        *calls,
    ]


def _member(constants, number, layers, parameters, dtype, sizes):
    """The calls that take x and codes to z, the outputs of a member; `sizes` are those that arrays must have."""
    name = constants.name
    inputs, (first, *others) = blocks_of(layers, parameters)
    calls, at = [], 0
    for layer, own in first.layers:
        calls.append(f"{name}_{_BESIDE[type(layer)](constants, inputs, layer, own)}, a{f' + {at}' if at else ''});")
        at += layer.outputs(None, inputs)
    sizes["a"] = max(sizes["a"], at)
    source, any_size = "a", True
    for i, block in enumerate(others):
        ((layer, own),) = block.layers
        if isinstance(layer, Scale):
            s = constants.floats("s", own[0])
            calls.append(f"{name}_scale({s}, {source}, {block.n_out});")
        elif isinstance(layer, Parametric):
            f = f"{source}[j]" if layer.activation == "identity" else f"{name}_{layer.activation}({source}[j])"
            share = constants.floats("share", own[0])
            calls.append(f"for (int j = 0; j < {block.n_out}; j++) {source}[j] += {share}[j] * ({f} - {source}[j]);")
        else:
            target = "z" if block is others[-1] else "a" if dtype == "int8" or source == "b" else "b"
            coef, intercept = own[0], own[1].ravel()
            definitions, called = dense(name, f"{number}_{i}", coef, intercept, source, target, dtype, any_size)
            constants.definitions += definitions
            calls += called + activated(name, layer.activation, target, block.n_out)
            sizes["q"] = max(sizes["q"], block.n_in if dtype == "int8" else 0)
            sizes[target] = max(sizes.get(target, 0), block.n_out)
            source, any_size = target, False
    return calls


def _numbers_of(inputs, layer):
    """Where the numbers that a layer reads begin, and how many they are."""
    columns = inputs.numbers(layer.columns)
    return f"x{f' + {columns[0]}' if columns[0] else ''}, {len(columns)}"


def _codes_of(constants, inputs, layer):
    """The numbers of levels of the categories that a layer reads, where their codes begin, and how many they are."""
    columns = inputs.categories(layer.columns)
    levels = constants.integers("levels", [inputs.levels[c] for c in columns])
    return f"{levels}, codes{f' + {columns[0]}' if columns[0] else ''}, {len(columns)}"


def _periodic(constants, inputs, layer, parameters):
    p = constants.floats("periodic", parameters[0])
    return f"periodic({p}, {layer.frequencies}, {layer.width}, {_numbers_of(inputs, layer)}"


def _piecewise(constants, inputs, layer, parameters):
    edges = np.asarray(layer.edges, dtype=np.float32)
    is_edge = np.isfinite(edges)
    p = constants.floats("piecewise", parameters[0])
    ends = constants.floats("edges", np.where(is_edge, edges, 0))
    bins = constants.integers("bins", is_edge.sum(axis=1) - 1)
    n_bins = edges.shape[1] - 1
    return f"piecewise({p}, {ends}, {bins}, {n_bins}, {layer.width}, {_numbers_of(inputs, layer)}"


def _indicators(constants, inputs, layer, parameters):
    off, on = constants.floats("off", layer.off), constants.floats("on", layer.on)
    return f"indicators({off}, {on}, {_codes_of(constants, inputs, layer)}"


def _embedding(constants, inputs, layer, parameters):
    E = constants.floats("E", parameters[0])
    return f"embedding({E}, {layer.width}, {_codes_of(constants, inputs, layer)}"


# Calls of what reads x or codes, without the name and without where their outputs go
_BESIDE = {
    Numbers: lambda constants, inputs, layer, parameters: f"copy({_numbers_of(inputs, layer)}",
    Periodic: _periodic,
    Piecewise: _piecewise,
    Indicators: _indicators,
    Embedding: _embedding,
}


def _in_units(constants, table):
    """The body of what gives values within the range of the training targets."""
    name, n_outputs = constants.name, table.n_outputs
    scale, center, least, greatest = (constants.doubles("y", values) for values in table.units)
    at, sort = "j", []
    if table.ranks is not None:
        at, sort = f"{constants.integers('ranks', table.ranks)}[j]", [f"{name}_sort(z, {n_outputs});"]
    return [
        f"{name.upper()}_STORAGE float z[{n_outputs}];",
        f"{name}_outputs(numbers, categories, z);",
        *sort,
        f"for (int j = 0; j < {n_outputs}; j++) {{",
        f"    const double y = (double)z[{at}] * {scale}[j] + {center}[j];",
        f"    out[j] = y < {least}[j] ? {least}[j] : y > {greatest}[j] ? {greatest}[j] : y;",
        "}",
    ]
