"""Convolutions and pooling in C."""

from ..engine.architecture import Convolution, MaxPool
from .c_text import array, float_literal

__all__ = ["WINDOW_HELPERS", "sliding"]

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
    "max_pool": """\
static void ${name}_max_pool(const float *x, const int32_t *w, float *z)
{
    for (int c = 0; c < w[0]; c++, x += w[1] * w[2])
        for (int y = 0; y < w[4]; y++)
            for (int o = 0; o < w[5]; o++) {
                const float *corner = x + y * w[8] * w[2] + o * w[9];
                float most = *corner;
                for (int i = 0; i < w[6]; i++)
                    for (int j = 0; j < w[7]; j++)
                        if (corner[i * w[2] + j] > most) most = corner[i * w[2] + j];
                *z++ = most;
            }
}
""",
    "average_pool": """\
static void ${name}_average_pool(const float *x, const int32_t *w, float *z)
{
    for (int c = 0; c < w[0]; c++, x += w[1] * w[2])
        for (int y = 0; y < w[4]; y++)
            for (int o = 0; o < w[5]; o++) {
                const float *corner = x + y * w[8] * w[2] + o * w[9];
                float sum = 0.0f;
                for (int i = 0; i < w[6]; i++)
                    for (int j = 0; j < w[7]; j++) sum += corner[i * w[2] + j];
                *z++ = sum / (float)(w[6] * w[7]);
            }
}
""",
}


def sliding(name, number, layer, coef, intercept, source, target):
    """A convolution's sums, or a pool: definitions of constants, and calls; see `c_text.dense`."""
    window, W, b, w = layer.window, *(f"{name}_{what}{number}" for what in ("W", "b", "window"))
    shape = [*layer.shape, *layer.shape_out, *window.size, *window.stride, *window.dilation, *window.before]
    geometry = array(f"static const int32_t {w}", [*map(str, [*shape, getattr(layer, "groups", 1)])])
    if not isinstance(layer, Convolution):
        kind = "max_pool" if isinstance(layer, MaxPool) else "average_pool"
        return [geometry], [f"{name}_{kind}({source}, {w}, {target});"]
    weights, biases = (
        array(f"static const float {key}", [*map(float_literal, values.ravel())])
        for key, values in ((W, coef.T), (b, intercept))
    )
    return [geometry, weights, biases], [f"{name}_convolution({W}, {b}, {source}, {w}, {target});"]
