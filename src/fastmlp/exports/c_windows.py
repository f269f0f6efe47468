"""Convolutions, pooling, normalisation and residual connections in C."""

from math import prod

from ..engine.architecture import Convolution, LayerNorm, MaxPool, Residual
from .c_text import array, float_literal, floats

__all__ = ["WINDOW_HELPERS", "sliding"]


def _pool(name, begin, each, end):
    """A function that makes one number of what each window sees."""
    return f"""\
static void ${{name}}_{name}(const float *x, const int32_t *w, float *z)
{{
    for (int c = 0; c < w[0]; c++, x += w[1] * w[2])
        for (int y = 0; y < w[4]; y++)
            for (int o = 0; o < w[5]; o++) {{
                const float *corner = x + y * w[8] * w[2] + o * w[9];
                {begin}
                for (int i = 0; i < w[6]; i++)
                    for (int j = 0; j < w[7]; j++)
                        {each}
                *z++ = {end};
            }}
}}
"""


# w has of each window: channels, height and width of the input, those of the output, and height and width of the
# window, its strides, its dilations, the zeros above and to the left; then the number of groups of channels
WINDOW_HELPERS = {
    "convolution": """\
/* z = W * x + b, W of shape (channels, channels of a group of x, height, width), row-major; outside x is 0 */
static void ${name}_convolution(const float *W, const float *b, const float *x, const int32_t *w, float *z)
{
    const int group_in = w[0] / w[14], group_out = w[3] / w[14];
    for (int c = 0; c < w[3]; c++, W += group_in * w[6] * w[7])
        for (int y = 0; y < w[4]; y++)
            for (int o = 0; o < w[5]; o++) {
                const float *weight = W, *plane = x + c / group_out * group_in * w[1] * w[2];
                float sum = 0.0f;
                for (int k = 0; k < group_in; k++, plane += w[1] * w[2])
                    for (int i = 0; i < w[6]; i++)
                        for (int j = 0; j < w[7]; j++, weight++) {
                            const int row = y * w[8] - w[12] + i * w[10], column = o * w[9] - w[13] + j * w[11];
                            if (row >= 0 && row < w[1] && column >= 0 && column < w[2])
                                sum += *weight * plane[row * w[2] + column];
                        }
                *z++ = sum + b[c];
            }
}
""",
    "norm": """\
/* z = s u + b, u the n = channels * positions numbers of x less their mean, divided by their deviation */
static void ${name}_norm(const float *s, const float *b, float epsilon, const float *x, int channels, int n, float *z)
{
    const int positions = n / channels;
    float mean = 0.0f, square = 0.0f;
    for (int i = 0; i < n; i++) mean += x[i];
    mean /= (float)n;
    for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    square = 1.0f / sqrtf(square / (float)n + epsilon);
    for (int i = 0; i < n; i++) z[i] = (x[i] - mean) * square * s[i / positions] + b[i / positions];
}
""",
    "max_pool": _pool(
        "max_pool", "float most = *corner;", "if (corner[i * w[2] + j] > most) most = corner[i * w[2] + j];", "most"
    ),
    "average_pool": _pool(
        "average_pool", "float sum = 0.0f;", "sum += corner[i * w[2] + j];", "sum / (float)(w[6] * w[7])"
    ),
}


def sliding(name, number, layer, coef, intercept, source, target, added):
    """What a layer that is not dense leaves: definitions of constants, and calls; see `c_text.dense`.

    `added` is what a residual connection adds.
    """
    W, b, w = (f"{name}_{what}{number}" for what in ("W", "b", "window"))
    n_out = prod(layer.shape_out)
    if isinstance(layer, Residual):
        return [], [f"for (int j = 0; j < {n_out}; j++) {target}[j] = {source}[j] + {added}[j];"]
    if isinstance(layer, LayerNorm):
        epsilon, channels = float_literal(layer.epsilon), layer.shape[0]
        called = f"{name}_norm({W}, {b}, {epsilon}, {source}, {channels}, {n_out}, {target});"
        return [floats(W, coef), floats(b, intercept)], [called]
    window = layer.window
    shape = [*layer.shape, *layer.shape_out, *window.size, *window.stride, *window.dilation, *window.before]
    geometry = array(f"static const int32_t {w}", [*map(str, [*shape, getattr(layer, "groups", 1)])])
    if not isinstance(layer, Convolution):
        kind = "max_pool" if isinstance(layer, MaxPool) else "average_pool"
        return [geometry], [f"{name}_{kind}({source}, {w}, {target});"]
    constants = [geometry, floats(W, coef.T), floats(b, intercept)]
    return constants, [f"{name}_convolution({W}, {b}, {source}, {w}, {target});"]
