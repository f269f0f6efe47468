"""The engine in plain NumPy: the same interface, the same order of rows and steps, float64 arithmetic throughout.

Slow and short. Kernels, trainers and estimators are checked against it; nothing here is optimised.
Shapes: A_0 = X[batch] is (b, n_0); A_l is (b, n_l); W_l is (n_{l-1}, n_l).

    Z_l = A_{l-1} W_l + b_l                 A_l = f(Z_l), for the last layer the loss's own output activation
    D_L = w * (A_L - y)                     the same for every canonical pair of loss and output activation
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
from scipy.special import expit, ndtr, xlogy

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
    place = (first + np.arange(shape[0], dtype=np.uint64)[:, None]) * np.uint64(shape[1])
    counter = ((place % 2**32 + np.arange(shape[1], dtype=np.uint64) + np.uint64(key % 2**32)) % 2**32).astype(
        np.uint32
    )
    word = _scrambled(_scrambled(counter) ^ ((place >> np.uint64(32)) ^ np.uint64(key >> 32)).astype(np.uint32))
    return (word >= min(round(rate * 2**32), 2**32 - 1)) / (1 - rate)


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


_OUTPUT = {"identity": lambda z: z, "exp": np.exp, "logistic": expit, "softmax": _softmax}


def _squared_error(y, p, eps):
    return 0.5 * ((y - p) ** 2).mean(axis=1)


def _poisson(y, p, eps):
    return (xlogy(y, y / p) - y + p).sum(axis=1)


def _binary_log_loss(y, p, eps):
    p = np.clip(p, eps, 1 - eps)
    return -(xlogy(y, p) + xlogy(1 - y, 1 - p)).sum(axis=1)


def _log_loss(y, p, eps):
    return -np.log(np.clip((y * p).sum(axis=1), eps, 1 - eps))


# name -> (output activation, loss of each row)
_LOSS = {
    "squared_error": ("identity", _squared_error),
    "poisson": ("exp", _poisson),
    "binary_log_loss": ("logistic", _binary_log_loss),
    "log_loss": ("softmax", _log_loss),
}


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
LOSSES = {name: output for name, (output, _) in _LOSS.items()}
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


def forward(coefs, intercepts, activation, out_activation, X, rows=None, *, n_threads=None, max_threads=None, isa=None):
    """Prediction from plain lists of arrays; the result has the coefficients' dtype."""
    A = _layers(coefs, intercepts, activation, out_activation, _gather(X, rows))[0][-1]
    return A.astype(coefs[0].dtype)


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
        self, layer_units, activation, loss, dtype, *, dropout=None, n_threads=None, max_threads=None, isa=None
    ):
        self.layer_units = tuple(layer_units)
        self.activation, self.loss, self.dtype = activation, loss, np.dtype(dtype)
        self.dropout = dropout
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
        return forward(self.coefs, self.intercepts, self.activation, _LOSS[self.loss][0], X, rows)

    def _targets(self, rows):
        y = self._y if rows is None else self._y[rows]
        return np.eye(self.layer_units[-1])[y] if self.loss == "log_loss" else y.astype(np.float64)

    def loss_and_grad(self, rows=None, alpha=0.0, masks=None):
        """Loss of the given rows, penalty included, and its gradient as two lists."""
        output, row_losses = _LOSS[self.loss]
        weights = [W.astype(np.float64) for W in self.coefs]
        A, slopes = _layers(self.coefs, self.intercepts, self.activation, output, _gather(self._X, rows), masks)
        y = self._targets(rows)
        w = np.ones(len(y)) if self._w is None else self._w if rows is None else self._w[rows]
        total = w.sum()
        if total == 0:
            return 0.0, [0 * W for W in weights], [np.zeros(W.shape[1]) for W in weights]
        loss = w @ row_losses(y, A[-1], np.finfo(self.dtype).eps) / total
        loss += 0.5 * alpha * sum((W**2).sum() for W in weights) / total
        D = w[:, None] * (A[-1] - y)
        coef_grads, intercept_grads = [], []
        for i in reversed(range(len(weights))):
            coef_grads.insert(0, (np.asarray(A[i].T @ D) + alpha * weights[i]) / total)
            intercept_grads.insert(0, D.sum(axis=0) / total)
            if i:
                D = (D @ weights[i].T) * slopes[i - 1]
        return float(loss), coef_grads, intercept_grads

    def epoch(self, rows, batch_size, optimizer, alpha):
        rows = np.arange(self._X.shape[0]) if rows is None else rows
        step = _STEP[optimizer.name][1]
        states = [list(chain(*self.views(flat))) for flat in optimizer.state]
        accumulated = 0.0
        params = self.coefs + self.intercepts
        rates, hyper = getattr(optimizer, "rates", None), optimizer.hyper
        decay = hyper.get("weight_decay", 0.0)
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
                masks = [
                    dropout_mask(rate, seed, t, layer, start, (len(batch), units)) if rate else None
                    for layer, (rate, units) in enumerate(zip(self.dropout, self.layer_units[:-1], strict=True))
                ]
            loss, coef_grads, intercept_grads = self.loss_and_grad(batch, alpha, masks)
            accumulated += loss * len(batch)
            optimizer.t += 1
            now = SimpleNamespace(
                rate=optimizer.rate if rates is None else rates[k],
                t=optimizer.t,
                hyper=hyper,
                memory=list(getattr(optimizer, "memory", ())),
            )
            if optimizer.name in _BEGINS:
                _BEGINS[optimizer.name](now)
                optimizer.memory = now.memory
            grads = _clipped(coef_grads + intercept_grads, hyper)
            for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
                now.decay = decay if i < len(self.coefs) else 0.0
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
