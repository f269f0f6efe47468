"""Convolutions and pooling as ONNX nodes: planes of shape (n_samples, channels, height, width)."""

import numpy as np

from ..engine.architecture import Convolution, MaxPool

__all__ = ["in_planes", "slide"]


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
