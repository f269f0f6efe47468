"""Where the parameters of a network start."""

from functools import partial
from math import sqrt

import numpy as np

from .arrays import for_each

__all__ = ["INITIALIZERS", "initialize"]

PART = 2**20  # numbers drawn at a time: bounds the float64 temporary; the stream is the same


def _fill(array, draw, dtype):
    """Fill an array, row after row, with numbers from draw(shape), in float64, rounded to `dtype`."""
    step = max(1, PART // array[0].size)
    for start in range(0, len(array), step):
        part = array[start : start + step]
        part[...] = draw(part.shape).astype(dtype, copy=False)


def _fill_uniform(array, bound, dtype, random_state):
    _fill(array, lambda shape: random_state.uniform(-bound, bound, shape), dtype)


def _auto(network, dtype, random_state):
    """Coefficients and intercepts of U(-bound, bound), bound = sqrt(factor / (fan_in + fan_out)).

    The factor is 2 for logistic units and 6 for others; the output layer goes by the last hidden one.
    """
    if network.activation is None:
        names = network.hidden_activations
    else:  # a model without hidden layers goes by the activation too
        names = for_each(network.activation, len(network.coefs))
    names += names[-1:]
    for i, (coef, intercept) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        if coef.ndim == 1:
            continue
        factor = 2.0 if names[i : i + 1] == ["logistic"] else 6.0
        bound = sqrt(factor / sum(coef.shape))
        _fill_uniform(coef, bound, dtype, random_state)
        _fill_uniform(intercept, bound, dtype, random_state)


def _uniform(variance, coef, dtype, random_state):
    _fill_uniform(coef, sqrt(3.0 * variance(*coef.shape)), dtype, random_state)


def _normal(variance, coef, dtype, random_state):
    deviation = sqrt(variance(*coef.shape))
    _fill(coef, lambda shape: random_state.normal(0.0, deviation, shape), dtype)


def _orthogonal(coef, dtype, random_state):
    """Q of a normal matrix's QR, its columns' signs those that make R's diagonal positive: uniform among all Q."""
    long, short = max(coef.shape), min(coef.shape)
    q, r = np.linalg.qr(random_state.normal(size=(long, short)))
    q *= np.copysign(1.0, np.diagonal(r))
    coef[...] = (q if coef.shape == q.shape else q.T).astype(dtype, copy=False)


def _intercepts_zero(fill, network, dtype, random_state):
    for coef, intercept in zip(network.coefs, network.intercepts, strict=True):
        if coef.ndim > 1:
            fill(coef, dtype, random_state)
            intercept[...] = 0


# variance of a weight between fan_in and fan_out units
_VARIANCES = {
    "glorot": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2.0 / fan_in,
    "lecun": lambda fan_in, fan_out: 1.0 / fan_in,
}
# name -> fills a network's parameters: (network, dtype, random_state)
INITIALIZERS = {
    "auto": _auto,
    **{
        f"{name}_{kind}": partial(_intercepts_zero, partial(fill, variance))
        for name, variance in _VARIANCES.items()
        for kind, fill in (("uniform", _uniform), ("normal", _normal))
    },
    "orthogonal": partial(_intercepts_zero, _orthogonal),
}


def initialize(network, weight_init, dtype, random_state):
    """Draw the parameters of a network.

    Parameters
    ----------
    network : Network
        Its parameters are overwritten.
    weight_init : str
        One of ``INITIALIZERS``. A weight has the same distribution in all of a layer, between fan_in and fan_out units;
        of a convolution the elements of its window and its channels.

        - "auto": scikit-learn's. Weights and intercepts of U(-b, b), b = sqrt(6 / (fan_in + fan_out)) [1]_, eq. 16,
          or for logistic units sqrt(2 / (fan_in + fan_out)). The output layer goes by the last hidden layer's units.
        - "glorot_uniform", "glorot_normal": variance 2 / (fan_in + fan_out) [1]_.
        - "he_uniform", "he_normal": variance 2 / fan_in [2]_.
        - "lecun_uniform", "lecun_normal": variance 1 / fan_in [3]_.
        - "orthogonal": orthonormal rows or columns, whichever are fewer, uniform among all such matrices [4]_.

        Uniform ones are of U(-b, b), b = sqrt(3 variance); normal ones are not truncated. With all but "auto" the
        intercepts are 0. Of a normalisation the factors are 1 and the shifts 0.
    dtype : float32 or float64
        What the numbers are rounded to; they are drawn in float64.
    random_state : RandomState
        The source; layer by layer, with "auto" weights before intercepts.

    Raises
    ------
    ValueError
        For an unknown name.

    References
    ----------
    .. [1] Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".
    .. [2] He et al. (2015), "Delving deep into rectifiers".
    .. [3] LeCun et al. (1998), "Efficient BackProp".
    .. [4] Saxe et al. (2014), "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    """
    if weight_init not in INITIALIZERS:
        raise ValueError(f"weight_init={weight_init!r}: one of {', '.join(INITIALIZERS)}")
    for coef, intercept in zip(network.coefs, network.intercepts, strict=True):
        if coef.ndim == 1:
            coef[...], intercept[...] = 1, 0
    INITIALIZERS[weight_init](network, dtype, random_state)
