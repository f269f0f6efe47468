"""Convolutions, pooling and normalisation as ONNX nodes: planes of shape (n_samples, channels, height, width)."""

import numpy as np

from ..engine.architecture import Convolution, MaxPool

__all__ = ["in_planes", "normalise", "slide"]


def in_planes(g, layer, a):
    """The name of rows in the shape that a layer reads."""
    return g.add("Reshape", a, np.array([-1, *layer.shape], np.int64))


def slide(g, layer, a, coef=None, intercept=None):
    """The node of a layer's window over planes; the name of its output."""
    window = layer.window
    if not isinstance(layer, Convolution):
        kind = "MaxPool" if isinstance(layer, MaxPool) else "AveragePool"
        return g.add(kind, a, kernel_shape=list(window.size), strides=list(window.stride))
    weights = coef.T.reshape(layer.channels, -1, *window.size)
    return g.add(
        "Conv",
        a,
        np.ascontiguousarray(weights),
        intercept,
        kernel_shape=list(window.size),
        strides=list(window.stride),
        dilations=list(window.dilation),
        group=layer.groups,
        pads=[*window.before, *window.after],
    )


def normalise(g, layer, a, coef, intercept):
    """Nodes of layer normalisation on rows in the layer's shape."""
    axes, n = np.arange(1, len(layer.shape) + 1, dtype=np.int64), float(layer.reads)
    difference = g.add("Sub", a, g.add("Div", g.add("ReduceSum", a, axes, keepdims=1), n))
    variance = g.add("Div", g.add("ReduceSum", g.add("Mul", difference, difference), axes, keepdims=1), n)
    normal = g.add("Div", difference, g.add("Sqrt", g.add("Add", variance, float(layer.epsilon))))
    factor, shift = (part.reshape(-1, *[1] * (len(layer.shape) - 1)) for part in (coef, intercept))
    return g.add("Add", g.add("Mul", normal, factor), shift)
