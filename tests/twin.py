"""The engine in plain NumPy: the same interface, the same order of rows and steps, float64 arithmetic throughout.

Slow and short. Kernels, trainers and estimators are checked against it; nothing here is optimised.
Shapes: A_0 = X[batch] is (b, n_0); A_l is (b, n_l); W_l is (n_{l-1}, n_l).

    Z_l = A_{l-1} W_l + b_l                 A_l = f(Z_l), for the last layer the loss's own output activation
    D_L = w * dL/dZ_L                       A_L - y for every canonical pair of loss and output activation
    D_{l-1} = (D_l W_l^T) * f'(Z_{l-1})     f' written in terms of Z and A, before dropout
    dW_l = (A_{l-1}^T D_l + alpha W_l) / sum(w)      db_l = sum_rows(D_l) / sum(w)

With dropout A_l, the input's too, and D_l are multiplied by the same mask of 0 and 1 / (1 - rate).

and then, each if wished for: the gradient clipped, W_l multiplied by 1 - rate * weight_decay, the optimizer's step, the
columns of W_l held to a length.
"""

import contextlib
from itertools import chain, pairwise
from types import SimpleNamespace

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, log_expit, log_softmax, logsumexp, ndtr, xlogy

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804935, 1.6732632423543772848
_GELU_TANH = 2 * np.sqrt(2 / np.pi)


def _elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _tanh_softplus(z):
    return np.tanh(np.logaddexp(z, 0))


def _gelu_factor(z):
    """(1 + tanh(u)) / 2, u = sqrt(2 / pi) (z + 0.044715 z^3)."""
    return expit(_GELU_TANH * (z + 0.044715 * z**3))


# name -> (f, f' as a function of z and of the activation a = f(z))
_HIDDEN = {
    "identity": (lambda z: z, lambda z, a: np.ones_like(a)),
    "logistic": (expit, lambda z, a: a * (1 - a)),
    "tanh": (np.tanh, lambda z, a: 1 - a**2),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (a > 0).astype(float)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z, a: np.where(z > 0, 1, 0.01)),
    "relu6": (lambda z: np.clip(z, 0, 6), lambda z, a: ((z > 0) & (z < 6)).astype(float)),
    "elu": (_elu, lambda z, a: np.where(z > 0, 1, np.exp(np.minimum(z, 0)))),
    "selu": (
        lambda z: _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * _elu(z)),
        lambda z, a: _SELU_SCALE * np.where(z > 0, 1, _SELU_ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "softplus": (lambda z: np.logaddexp(z, 0), lambda z, a: expit(z)),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z, a: 1 / (1 + abs(z)) ** 2),
    "hard_sigmoid": (lambda z: np.clip(z + 3, 0, 6) / 6, lambda z, a: (abs(z) < 3) / 6),
    "hard_swish": (
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z, a: np.where(z < 3, np.where(z > -3, z / 3 + 0.5, 0), 1),
    ),
    "silu": (lambda z: z * expit(z), lambda z, a: expit(z) * (1 + z * expit(-z))),
    "gelu": (
        lambda z: z * ndtr(z),
        lambda z, a: ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "gelu_tanh": (
        lambda z: z * _gelu_factor(z),
        lambda z, a: _gelu_factor(z) * (1 + z * _gelu_factor(-z) * _GELU_TANH * (1 + 3 * 0.044715 * z**2)),
    ),
    "mish": (
        lambda z: z * _tanh_softplus(z),
        lambda z, a: _tanh_softplus(z) + z * (1 - _tanh_softplus(z) ** 2) * expit(z),
    ),
}


def _mixed(x):
    """SplitMix64: Steele, Lea and Flood (2014)."""
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def _scrambled(x):
    """Wellons' lowbias32, of an array of uint32."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def dropout_mask(rate, seed, t, layer, first, shape):
    """What a batch's outputs of a layer (0: the input) are multiplied by in the update after the t-th.

    `first` is the place in the epoch of the batch's first row.
    """
    key = _mixed(_mixed(_mixed(seed) ^ t) ^ layer)
    # a word serves two columns, 16 apart
    column = np.arange(shape[1], dtype=np.uint64)
    place = (first + np.arange(shape[0], dtype=np.uint64)[:, None]) * np.uint64(-(-shape[1] // 32) * 16)
    counter = ((place % 2**32 + column // 32 * 16 + column % 16 + np.uint64(key % 2**32)) % 2**32).astype(np.uint32)
    word = _scrambled(_scrambled(counter) ^ ((place >> np.uint64(32)) ^ np.uint64(key >> 32)).astype(np.uint32))
    random = np.where(column // 16 % 2, word >> 16, word & 0xFFFF)
    threshold = min(round(rate * 2**16), 2**16 - 1)
    return (random >= threshold) / (1 - threshold / 2**16)


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


_OUTPUT = {"identity": lambda z: z, "exp": np.exp, "logistic": expit, "softmax": _softmax}


def _smoothed(y, o, n_classes):
    """Targets of label smoothing, Szegedy et al. (2016)."""
    return y * (1 - o["label_smoothing"]) + o["label_smoothing"] / n_classes


def _residual(y, z, p, o):
    """dL/dz of every loss with its canonical link."""
    return p - y


def _squared_error(y, z, p, o):
    return 0.5 * ((y - p) ** 2).mean(axis=1)


def _poisson(y, z, p, o):
    return (xlogy(y, y / p) - y + p).sum(axis=1)


def _binary_log_loss(y, z, p, o):
    p = np.clip(p, o["eps"], 1 - o["eps"])
    return -(xlogy(y, p) + xlogy(1 - y, 1 - p)).sum(axis=1)


def _log_loss(y, z, p, o):
    """Clipped for scikit-learn's sake, but not with smoothed labels."""
    if o["label_smoothing"]:
        return -(_smoothed(y, o, y.shape[1]) * log_softmax(z, axis=1)).sum(axis=1)
    return -np.log(np.clip((y * p).sum(axis=1), o["eps"], 1 - o["eps"]))


def _absolute_error(y, z, p, o):
    return np.abs(z - y).sum(axis=1)


def _huber(y, z, p, o):
    r, delta = np.abs(z - y), o["huber_delta"]
    return np.where(r <= delta, 0.5 * r**2, delta * (r - 0.5 * delta)).sum(axis=1)


def _quantile(y, z, p, o):
    q = np.array(o["quantiles"])
    return np.maximum(q * (y - z), (q - 1) * (y - z)).sum(axis=1)


def _quantile_slope(y, z, p, o):
    q = np.array(o["quantiles"])
    return np.where(z > y, 1 - q, np.where(z < y, -q, z - y))


def _log_cosh(y, z, p, o):
    r = np.abs(z - y)
    near = -0.5 * np.log1p(-(np.tanh(np.minimum(r, 1)) ** 2))
    return np.where(r < 1, near, r + np.log1p(np.exp(-2 * r)) - np.log(2)).sum(axis=1)


def _gamma(y, z, p, o):
    return (y / p + z - np.log(y) - 1).sum(axis=1)


def _tweedie(y, z, p, o):
    k = o["tweedie_power"]
    a, b = 1 - k, 2 - k
    with np.errstate(all="ignore"):
        d, p, q = np.log(y) - z, y * np.exp(a * z), np.exp(b * z)
        # the formula in a form that keeps its digits at either end of the powers
        near = (p * (np.expm1(a * d) / a - 1) + q) / b if k < 1.5 else (q * np.expm1(b * d) / b - (p - q)) / a
        far = y**b / (a * b) - p / a + q / b
    return np.where(y == 0, q / b, np.where(np.abs((a if k < 1.5 else b) * d) < 1, near, far)).sum(axis=1)


def _tweedie_slope(y, z, p, o):
    k = o["tweedie_power"]
    return p ** (2 - k) - y * p ** (1 - k)


def _soft_binary_log_loss(y, z, p, o):
    y = _smoothed(y, o, 2)
    return -(y * log_expit(z) + (1 - y) * log_expit(-z)).sum(axis=1)


def _focal_parts(log_p, log_wrong, gamma):
    """Loss and dL/dlog(p) of -(1 - p)^gamma log(p), from the logarithms of p and of 1 - p."""
    with np.errstate(invalid="ignore", over="ignore"):
        # log(p) / (1 - p) is -1 at p = 1
        ratio = np.where(log_p == 0, -1.0, log_p * np.exp(log_p - log_wrong))
    wrong = np.exp(gamma * log_wrong) if gamma else 1.0
    return -wrong * log_p, wrong * (gamma * ratio - 1)


def _one_against_all(y, z):
    """log(p) of the row's class and log(1 - p), both accurate near their ends."""
    z = z - z.max(axis=1, keepdims=True)
    log_p = (y * log_softmax(z, axis=1)).sum(axis=1)
    others = np.where(y > 0, -np.inf, z)
    return log_p, logsumexp(others, axis=1) - logsumexp(z, axis=1)


def _focal(y, z, p, o):
    return _focal_parts(*_one_against_all(y, z), o["focal_gamma"])[0]


def _focal_slope(y, z, p, o):
    log_p, log_wrong = _one_against_all(y, z)
    slope = _focal_parts(log_p, log_wrong, o["focal_gamma"])[1][:, None]
    # dlog(p_y)/dz = y - p
    return slope * np.where(y > 0, np.exp(log_wrong)[:, None], -p)


def _binary_focal(y, z, p, o):
    x = np.where(y > 0, z, -z)
    return _focal_parts(log_expit(x), log_expit(-x), o["focal_gamma"])[0].sum(axis=1)


def _binary_focal_slope(y, z, p, o):
    sign = np.where(y > 0, 1, -1)
    return sign * _focal_parts(log_expit(sign * z), log_expit(-sign * z), o["focal_gamma"])[1] * expit(-sign * z)


def _hinge_margin(y, z):
    """1 + the largest of the others - z_y, and the column of that other."""
    others = np.where(y > 0, -np.inf, z)
    return 1 + (others.max(axis=1) - (y * z).sum(axis=1)), others.argmax(axis=1)


def _hinge(y, z, p, o):
    return np.maximum(_hinge_margin(y, z)[0], 0)


def _hinge_slope(y, z, p, o):
    margin, other = _hinge_margin(y, z)
    return (margin > 0)[:, None] * ((np.arange(z.shape[1]) == other[:, None]) - y)


def _binary_hinge(y, z, p, o):
    return np.maximum(1 - np.where(y > 0, z, -z), 0).sum(axis=1)


def _binary_hinge_slope(y, z, p, o):
    sign = np.where(y > 0, 1, -1)
    return np.where(sign * z < 1, -sign, 0)


# name -> (output activation, loss of each row, dL/dz); both of targets, outputs before and after activation, options
_LOSS = {
    "squared_error": ("identity", _squared_error, _residual),
    "poisson": ("exp", _poisson, _residual),
    "binary_log_loss": ("logistic", _binary_log_loss, _residual),
    "absolute_error": ("identity", _absolute_error, lambda y, z, p, o: np.sign(z - y)),
    "huber": ("identity", _huber, lambda y, z, p, o: np.clip(z - y, -o["huber_delta"], o["huber_delta"])),
    "quantile": ("identity", _quantile, _quantile_slope),
    "log_cosh": ("identity", _log_cosh, lambda y, z, p, o: np.tanh(z - y)),
    "gamma": ("exp", _gamma, lambda y, z, p, o: 1 - y / p),
    "tweedie": ("exp", _tweedie, _tweedie_slope),
    "soft_binary_log_loss": ("logistic", _soft_binary_log_loss, lambda y, z, p, o: p - _smoothed(y, o, 2)),
    "binary_focal": ("logistic", _binary_focal, _binary_focal_slope),
    "binary_hinge": ("identity", _binary_hinge, _binary_hinge_slope),
    "log_loss": ("softmax", _log_loss, lambda y, z, p, o: p - _smoothed(y, o, y.shape[1])),
    "focal": ("softmax", _focal, _focal_slope),
    "hinge": ("identity", _hinge, _hinge_slope),
}
_LOSS_OPTIONS = {
    "label_smoothing": 0.0,
    "focal_gamma": 2.0,
    "huber_delta": 1.0,
    "quantiles": (0.5,),
    "tweedie_power": 1.5,
    "segments": None,
}
_CODES = ("log_loss", "focal", "hinge")


def _blocks(columns, segments):
    """The blocks of columns of an array; without segments, all of it."""
    return np.split(columns, np.cumsum(segments)[:-1], axis=1) if segments else [columns]


def _sgd(param, grad, state, o):
    """v <- mu v - rate g; step by v, or by mu v - rate g (Nesterov)."""
    (v,) = state
    v[:] = o.hyper["momentum"] * v - o.rate * grad
    param += o.hyper["momentum"] * v - o.rate * grad if o.hyper["nesterov"] else v


def _adam(param, grad, state, o):
    """Kingma and Ba (2014), the form at the end of section 2: epsilon outside the bias correction."""
    m, v = state
    b1, b2 = o.hyper["beta_1"], o.hyper["beta_2"]
    m[:] = b1 * m + (1 - b1) * grad
    v[:] = b2 * v + (1 - b2) * grad**2
    param -= o.rate * np.sqrt(1 - b2**o.t) / (1 - b1**o.t) * m / (np.sqrt(v) + o.hyper["epsilon"])


def _moments(grad, state, o):
    """Averages of the gradient and of its square, both with their bias corrections."""
    m, v = state
    b1, b2 = o.hyper["beta_1"], o.hyper["beta_2"]
    m[:] = b1 * m + (1 - b1) * grad
    v[:] = b2 * v + (1 - b2) * grad**2
    return m / (1 - b1**o.t), v / (1 - b2**o.t)


def _adamw(param, grad, state, o):
    """Loshchilov and Hutter (2019), algorithm 2: epsilon inside the bias correction."""
    m, v = _moments(grad, state, o)
    param -= o.rate * m / (np.sqrt(v) + o.hyper["epsilon"])


def _mu(t, o):
    return o.hyper["beta_1"] * (1 - 0.5 * 0.96 ** (0.004 * t))


def _nadam_begins(o):
    """The product of the momenta so far."""
    o.memory = [(o.memory[0] if o.t > 1 else 1.0) * _mu(o.t, o)]


def _nadam(param, grad, state, o):
    """Dozat (2016), with his schedule of the momentum."""
    _, v = _moments(grad, state, o)
    m, mu, after, product = state[0], _mu(o.t, o), _mu(o.t + 1, o), o.memory[0]
    ahead = (1 - mu) * grad / (1 - product) + after * m / (1 - product * after)
    param -= o.rate * ahead / (np.sqrt(v) + o.hyper["epsilon"])


def _rmsprop(param, grad, state, o):
    """Tieleman and Hinton (2012)."""
    (v,) = state
    v[:] = o.hyper["beta_2"] * v + (1 - o.hyper["beta_2"]) * grad**2
    param -= o.rate * grad / (np.sqrt(v) + o.hyper["epsilon"])


def _adagrad(param, grad, state, o):
    """Duchi, Hazan and Singer (2011), the diagonal form."""
    (s,) = state
    s += grad**2
    param -= o.rate * grad / (np.sqrt(s) + o.hyper["epsilon"])


def _lion(param, grad, state, o):
    """Chen et al. (2023), algorithm 2."""
    (m,) = state
    b1, b2 = o.hyper["beta_1"], o.hyper["beta_2"]
    param -= o.rate * np.sign(b1 * m + (1 - b1) * grad)
    m[:] = b2 * m + (1 - b2) * grad


def _schedule_free_begins(o):
    """The sum of the steps' weights, and the largest rate so far, whose square is the step's weight."""
    total, most = o.memory or (0.0, 0.0)
    most = max(most, o.rate)
    o.memory = [total + most**2, most]


def _schedule_free_adamw(param, grad, state, o):
    """Defazio et al. (2024), algorithm 1, through x as it stands there; `param` is y."""
    z, v = state
    b1, b2 = o.hyper["beta_1"], o.hyper["beta_2"]
    y, z_before = param.astype(np.float64), z.astype(np.float64)
    x = (y - (1 - b1) * z_before) / b1
    v[:] = b2 * v + (1 - b2) * grad**2
    z -= o.rate * (grad / (np.sqrt(v / (1 - b2**o.t)) + o.hyper["epsilon"]) + o.decay * y)
    share = o.memory[1] ** 2 / o.memory[0] if o.memory[0] else 0.0
    x = (1 - share) * x + share * z
    param[:] = (1 - b1) * z + b1 * x


# name -> (number of state arrays, step)
_STEP = {
    "sgd": (1, _sgd),
    "adam": (2, _adam),
    "adamw": (2, _adamw),
    "nadam": (2, _nadam),
    "rmsprop": (1, _rmsprop),
    "adagrad": (1, _adagrad),
    "lion": (1, _lion),
    "schedule_free_adamw": (2, _schedule_free_adamw),
}
# what a step does once for all parameters
_BEGINS = {"nadam": _nadam_begins, "schedule_free_adamw": _schedule_free_begins}
# whose parameters are averages x between epochs, y = (1 - b1) z + b1 x within, z the first state array
_AVERAGES = ("schedule_free_adamw",)


def _clipped(grads, hyper):
    """Elements held within clip_value, or all of them scaled to the norm clip_norm: Pascanu et al. (2013)."""
    if "clip_value" in hyper:
        return [np.clip(grad, -hyper["clip_value"], hyper["clip_value"]) for grad in grads]
    if "clip_norm" in hyper:
        norm = np.sqrt(sum((grad**2).sum() for grad in grads))
        return [grad * (hyper["clip_norm"] / np.maximum(norm, hyper["clip_norm"])) for grad in grads]
    return grads


def _shorten(W, most):
    """Columns longer than `most` scaled to it: Srivastava et al. (2014), section 5.1."""
    W /= np.maximum(np.sqrt((W.astype(np.float64) ** 2).sum(axis=0)) / most, 1)


ACTIVATIONS = tuple(_HIDDEN)
LOSSES = {name: output for name, (output, _, _) in _LOSS.items()}
OPTIMIZERS = {name: n_states for name, (n_states, _) in _STEP.items()}
ISAS = ("baseline",)


def _gather(X, rows):
    X = X if rows is None else X[rows]
    return X.astype(np.float64) if issparse(X) else np.asarray(X, dtype=np.float64)


def _hidden(activation, n_hidden):
    """The rows of the table for the hidden layers of a network."""
    return [_HIDDEN[name] for name in ([activation] * n_hidden if isinstance(activation, str) else activation)]


def _layers(coefs, intercepts, activation, output, A, masks=None):
    """Outputs of every layer, the input first, and the derivatives f'(Z) of the hidden ones."""
    masks = masks or [None] * len(coefs)
    layers, slopes = [A if masks[0] is None else A * masks[0]], []
    hidden = _hidden(activation, len(coefs) - 1)
    for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        Z = np.asarray(layers[-1] @ W.astype(np.float64)) + b.astype(np.float64)
        if i == len(hidden):
            layers.append(_OUTPUT[output](Z))
        else:
            function, derivative = hidden[i]
            A = function(Z)
            mask = 1.0 if masks[i + 1] is None else masks[i + 1]
            layers.append(A * mask)
            slopes.append(derivative(Z, A) * mask)
    return layers, slopes


def forward(coefs, intercepts, activation, out_activation, X, rows=None, *, segments=None, **_):
    """Prediction from plain lists of arrays; the result has the coefficients' dtype."""
    Z = _layers(coefs, intercepts, activation, "identity", _gather(X, rows))[0][-1]
    return np.hstack([_OUTPUT[out_activation](z) for z in _blocks(Z, segments)]).astype(coefs[0].dtype)


# dp/dz of each output activation, (n, n_outputs, n_outputs), as a function of p
_OUTPUT_SLOPE = {
    "identity": lambda p: np.ones_like(p)[:, :, None] * np.eye(p.shape[1]),
    "exp": lambda p: p[:, :, None] * np.eye(p.shape[1]),
    "logistic": lambda p: (p * (1 - p))[:, :, None] * np.eye(p.shape[1]),
    "softmax": lambda p: p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :]),
}


def input_gradients(coefs, intercepts, activation, out_activation, X, *, segments=None):
    """d output / d input, (n, n_outputs, n_features): the product of the layers' Jacobians, from the last one on."""
    layers, slopes = _layers(coefs, intercepts, activation, "identity", _gather(X, None))
    n, n_outputs = layers[-1].shape
    jacobian, start = np.zeros((n, n_outputs, n_outputs)), 0
    for z in _blocks(layers[-1], segments):
        block = slice(start, start := start + z.shape[1])
        jacobian[:, block, block] = _OUTPUT_SLOPE[out_activation](_OUTPUT[out_activation](z))
    for i in reversed(range(len(coefs))):
        jacobian = jacobian @ coefs[i].astype(np.float64).T
        if i:
            jacobian *= slopes[i - 1][:, None]
    return jacobian


@contextlib.contextmanager
def single_threaded_blas():
    """Nothing to guard."""
    yield


def logarithm(x):
    """Natural logarithm in place; log(0) is -inf without a warning."""
    with np.errstate(divide="ignore"):
        return np.log(x, out=x)


class TwinNetwork:
    """A network whose parameters are stored in `dtype`, with arithmetic in float64."""

    uses_blas = False

    def __init__(
        self,
        layer_units,
        activation,
        loss,
        dtype,
        *,
        loss_options=None,
        dropout=None,
        n_threads=None,
        max_threads=None,
        isa=None,
    ):
        self.layer_units = tuple(layer_units)
        self.activation, self.loss, self.dtype = activation, loss, np.dtype(dtype)
        self.dropout = dropout
        self._options = _LOSS_OPTIONS | (loss_options or {}) | {"eps": np.finfo(self.dtype).eps}
        self.segments = self._options["segments"]
        self.n_params = sum(a * b + b for a, b in pairwise(self.layer_units))
        self.team_size = 1
        self._shapes, self._starts, size = [], [], 0
        for fan_in, fan_out in pairwise(self.layer_units):
            for shape in ((fan_in, fan_out), (fan_out,)):
                self._shapes.append(shape)
                self._starts.append(size)
                # arrays start on 16-element boundaries: the gaps belong to nobody, as in the engine
                size += -(-int(np.prod(shape)) // 16) * 16
        self._size = size
        self.coefs, self.intercepts = self.views(self.new_state())

    def new_state(self):
        return np.zeros(self._size, dtype=self.dtype)

    def views(self, flat):
        arrays = [
            flat[start : start + int(np.prod(shape))].reshape(shape)
            for start, shape in zip(self._starts, self._shapes, strict=True)
        ]
        return arrays[0::2], arrays[1::2]

    def bind(self, X, y, sample_weight=None):
        self._X, self._y, self._w = X, y, sample_weight

    def release(self):
        self._X = self._y = self._w = None

    def predict(self, X, rows=None):
        return forward(
            self.coefs, self.intercepts, self.activation, _LOSS[self.loss][0], X, rows, segments=self.segments
        )

    def _targets(self, y):
        if self.loss not in _CODES:
            return y.astype(np.float64)
        sizes = self.segments or self.layer_units[-1:]
        return np.hstack([np.eye(k)[codes] for k, codes in zip(sizes, y.reshape(len(y), -1).T, strict=True)])

    def _losses(self, y, Z):
        """Loss of each row, and dL/dZ."""
        output, row_losses, slope = _LOSS[self.loss]
        losses, slopes = 0.0, []
        for targets, z in zip(_blocks(self._targets(y), self.segments), _blocks(Z, self.segments), strict=True):
            p = _OUTPUT[output](z)
            losses = losses + row_losses(targets, z, p, self._options)
            slopes.append(slope(targets, z, p, self._options))
        return losses, np.hstack(slopes)

    def evaluate(self, X, y, sample_weight=None):
        """Mean loss of other data, without penalty."""
        Z = _layers(self.coefs, self.intercepts, self.activation, "identity", _gather(X, None))[0][-1]
        return float(np.average(self._losses(y, Z)[0], weights=sample_weight))

    def loss_and_grad(self, rows=None, alpha=0.0, masks=None, penalised=(True, False)):
        """Loss of the given rows, penalty included, and its gradient as two lists.

        `penalised` says of weights and of biases whether alpha is about them.
        """
        weights = [W.astype(np.float64) for W in self.coefs]
        A, derivatives = _layers(
            self.coefs, self.intercepts, self.activation, "identity", _gather(self._X, rows), masks
        )
        y = self._y if rows is None else self._y[rows]
        w = np.ones(len(y)) if self._w is None else self._w if rows is None else self._w[rows]
        total = w.sum()
        if total == 0:
            return 0.0, [0 * W for W in weights], [np.zeros(W.shape[1]) for W in weights]
        losses, slopes = self._losses(y, A[-1])
        loss = w @ losses / total
        penalties = [alpha if one else 0.0 for one in penalised]
        biases = [b.astype(np.float64) for b in self.intercepts]
        for penalty, params in zip(penalties, (weights, biases), strict=True):
            loss += 0.5 * penalty * sum((param**2).sum() for param in params) / total
        D = w[:, None] * slopes
        coef_grads, intercept_grads = [], []
        for i in reversed(range(len(weights))):
            coef_grads.insert(0, (np.asarray(A[i].T @ D) + penalties[0] * weights[i]) / total)
            intercept_grads.insert(0, (D.sum(axis=0) + penalties[1] * biases[i]) / total)
            if i:
                D = (D @ weights[i].T) * derivatives[i - 1]
        return float(loss), coef_grads, intercept_grads

    def epoch(self, rows, batch_size, optimizer, alpha):
        rows = np.arange(self._X.shape[0]) if rows is None else rows
        step = _STEP[optimizer.name][1]
        states = [list(chain(*self.views(flat))) for flat in optimizer.state]
        accumulated = 0.0
        params = self.coefs + self.intercepts
        rates, hyper = getattr(optimizer, "rates", None), optimizer.hyper
        decays, factors = getattr(optimizer, "decays", None), getattr(optimizer, "dropout_factors", None)
        groups = [
            {"rate": 1.0, "decay": decay, "penalised": penalised} | getattr(optimizer, "groups", {}).get(name, {})
            for name, decay, penalised in (("weights", 1.0, True), ("biases", 0.0, False))
        ]
        averages = optimizer.name in _AVERAGES
        if averages:
            for param, z in zip(params, states[0], strict=True):
                if optimizer.t == 0:
                    z[:] = param
                param += (1 - hyper["beta_1"]) * (z - param)
        for k, start in enumerate(range(0, len(rows), batch_size)):
            batch = rows[start : start + batch_size]
            masks = None
            if self.dropout is not None:
                seed, t = optimizer.dropout_seed, optimizer.t
                factor = 1.0 if factors is None else factors[k]
                masks = [
                    dropout_mask(factor * rate, seed, t, layer, start, (len(batch), units)) if rate else None
                    for layer, (rate, units) in enumerate(zip(self.dropout, self.layer_units[:-1], strict=True))
                ]
            penalised = [group["penalised"] for group in groups]
            loss, coef_grads, intercept_grads = self.loss_and_grad(batch, alpha, masks, penalised)
            accumulated += loss * len(batch)
            optimizer.t += 1
            now = SimpleNamespace(
                rate=optimizer.rate if rates is None else rates[k],
                t=optimizer.t,
                hyper=hyper,
                memory=list(getattr(optimizer, "memory", ())),
            )
            rate = now.rate
            if optimizer.name in _BEGINS:
                _BEGINS[optimizer.name](now)
                optimizer.memory = now.memory
            grads = _clipped(coef_grads + intercept_grads, hyper)
            for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
                group = groups[i >= len(self.coefs)]
                now.decay = group["decay"] * (hyper.get("weight_decay", 0.0) if decays is None else decays[k])
                now.rate = group["rate"] * rate
                if not averages:
                    param *= 1 - now.rate * now.decay
                step(param, grad, [state[i] for state in states], now)
            if "max_norm" in hyper:
                for W in self.coefs:
                    _shorten(W, hyper["max_norm"])
        if averages:
            for param, z in zip(params, states[0], strict=True):
                param += (1 - 1 / hyper["beta_1"]) * (z - param)
        return accumulated / len(rows)
