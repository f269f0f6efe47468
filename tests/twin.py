"""The engine in plain NumPy: the same interface, the same order of rows and steps, float64 arithmetic throughout.

Slow and short. Kernels, trainers and estimators are checked against it; nothing here is optimised.
What layers do is in twin_layers.py. Shapes: A_0 = X[batch] is (b, n_0); A_l is (b, n_l); W_l is (n_{l-1}, n_l).

    A_l = f(A_{l-1} W_l + b_l), or what another kind of layer computes; Z_L: the last layer's, which is dense
    D_L = w * dL/dZ_L                   A_L - y for every canonical pair of loss and output activation
    D_{l-1}, G = layer l's way back from D_l
    gradients: (G + alpha * parameter if its group is penalised) / sum(w)

With dropout A_l, the input's too, and D_l are multiplied by the same mask of 0 and 1 / (1 - rate).

and then, each if wished for: the gradient clipped, each parameter multiplied by 1 - rate * weight_decay, the
optimizer's step, the columns of W_l held to a length.
"""

import contextlib
from types import SimpleNamespace

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, log_expit, log_softmax, logsumexp, xlogy
from twin_layers import HIDDEN, pass_rows

from fastmlp.engine.architecture import Dense, Inputs, places


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


def augmented(X, augmentation, seed, t, first):
    """Rows of a batch as the update after the t-th sees them; `first` is the place in the epoch of the first."""
    key = _mixed(_mixed(_mixed(seed) ^ t) ^ 2**32)
    changed = []
    for i, x in enumerate(X.reshape(-1, *augmentation.shape)):
        word = _mixed(key ^ (first + i))
        for axis, (most, flip) in enumerate(zip(augmentation.shift, augmentation.flip, strict=True), start=1):
            if flip and word >> (31 + axis) & 1:
                x = np.flip(x, axis)
            by = ((word >> 16 * (axis - 1) & 0xFFFF) * (2 * most + 1) >> 16) - most
            places = np.arange(x.shape[axis]) - by
            inside = (places >= 0) & (places < x.shape[axis])
            x = np.moveaxis(np.moveaxis(x, axis, 0)[places * inside] * inside[:, None, None], 0, axis)
        noise = _mixed(word)
        counter = (np.arange(x.size, dtype=np.uint64) + np.uint64(noise % 2**32)) % np.uint64(2**32)
        words = _scrambled(_scrambled(counter.astype(np.uint32)) ^ np.uint32(noise >> 32))
        length = np.sqrt(-2 * np.log(((words >> np.uint32(16)) + 0.5) / 2**16))
        normal = length * np.cos(2 * np.pi * (words & np.uint32(0xFFFF)) / 2**16)
        changed.append(x.ravel() + augmentation.noise * normal)
    return np.array(changed)


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


ACTIVATIONS = tuple(HIDDEN)
LOSSES = {name: output for name, (output, _, _) in _LOSS.items()}
OPTIMIZERS = {name: n_states for name, (n_states, _) in _STEP.items()}
ISAS = ("baseline",)


def _gather(X, rows):
    X = X if rows is None else X[rows]
    return X.astype(np.float64) if issparse(X) else np.asarray(X, dtype=np.float64)


def _perceptron(units, activation):
    """The layers of a multilayer perceptron."""
    hidden = [activation] * (len(units) - 2) if isinstance(activation, str) else activation
    names = (*hidden, "identity")
    return Inputs(units[0]), [Dense(n, name) for n, name in zip(units[1:], names, strict=True)]


def _pass(coefs, intercepts, activation, X, rows=None):
    """Outputs of a multilayer perceptron before their activation, and the way back."""
    inputs, layers = _perceptron([len(coefs[0]), *(len(b) for b in intercepts)], activation)
    parameters = [array for layer in zip(coefs, intercepts, strict=True) for array in layer]
    return pass_rows(inputs, layers, parameters, _gather(X, rows))


def _activated(Z, out_activation, segments):
    return np.hstack([_OUTPUT[out_activation](z) for z in _blocks(Z, segments)])


def forward(coefs, intercepts, activation, out_activation, X, rows=None, *, segments=None, **_):
    """Prediction from plain lists of arrays; the result has the coefficients' dtype."""
    Z, _ = _pass(coefs, intercepts, activation, X, rows)
    return _activated(Z, out_activation, segments).astype(coefs[0].dtype)


# dp/dz of each output activation, (n, n_outputs, n_outputs), as a function of p
_OUTPUT_SLOPE = {
    "identity": lambda p: np.ones_like(p)[:, :, None] * np.eye(p.shape[1]),
    "exp": lambda p: p[:, :, None] * np.eye(p.shape[1]),
    "logistic": lambda p: (p * (1 - p))[:, :, None] * np.eye(p.shape[1]),
    "softmax": lambda p: p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :]),
}


def _input_gradients(Z, back, out_activation, segments):
    n, n_outputs = Z.shape
    slopes, start = np.zeros((n, n_outputs, n_outputs)), 0
    for z in _blocks(Z, segments):
        block = slice(start, start := start + z.shape[1])
        slopes[:, block, block] = _OUTPUT_SLOPE[out_activation](_OUTPUT[out_activation](z))
    return np.stack([back(slopes[:, k])[0] for k in range(n_outputs)], axis=1)


def input_gradients(coefs, intercepts, activation, out_activation, X, *, segments=None):
    """d output / d input, (n, n_outputs, n_features): the way back from each output."""
    return _input_gradients(*_pass(coefs, intercepts, activation, X), out_activation, segments)


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
        layers,
        activation,
        loss,
        dtype,
        *,
        loss_options=None,
        dropout=None,
        augmentation=None,
        n_threads=None,
        max_threads=None,
        isa=None,
    ):
        layers = tuple(layers)
        if isinstance(layers[0], Inputs):
            self._inputs, *self._layers = layers
        else:
            self._inputs, self._layers = _perceptron(layers, activation)
        self._places = places(self._inputs, self._layers)
        self.activation, self.loss, self.dtype = activation, loss, np.dtype(dtype)
        self.dropout, self.augmentation = dropout, augmentation
        self._options = _LOSS_OPTIONS | (loss_options or {}) | {"eps": np.finfo(self.dtype).eps}
        self.segments = self._options["segments"]
        self.team_size = 1
        self._shapes = [shape for place in self._places for shape in place.parameters]
        self.n_params = sum(shape.rows * shape.columns for shape in self._shapes)
        # whether alpha and weight decay are about a group's parameters, unless the optimizer says otherwise
        self._shrinks = {"weights": True, "biases": False}
        for shape in self._shapes:
            self._shrinks.setdefault(shape.group, shape.shrinks)
        self.groups = tuple(self._shrinks)
        self._values = self.new_state()
        self.coefs, self.intercepts = self.views(self._values)

    @property
    def draws(self):
        return self.augmentation is not None or bool(self.dropout and any(self.dropout))

    @property
    def layer_units(self):
        """Columns of the numbers, and of what each layer or layers beside each other leave."""
        ends = {place.shared: place.at + place.n_out for place in self._places}
        return (self._inputs.n_features, *ends.values())

    @property
    def parameters(self):
        """Name, array and group of each parameter, layer by layer."""
        seen, named = {}, []
        for shape, array in zip(self._shapes, self.arrays_in(self._values), strict=True):
            named.append((f"{shape.name}.{seen.setdefault(shape.name, 0)}", array, shape.group))
            seen[shape.name] += 1
        return named

    def new_state(self):
        # arrays start on 16-element boundaries: the gaps belong to nobody, as in the engine
        size = sum(-(-shape.rows * shape.columns // 16) * 16 for shape in self._shapes)
        return np.zeros(size, dtype=self.dtype)

    def arrays_in(self, flat):
        arrays, start = [], 0
        for shape in self._shapes:
            array = flat[start : start + shape.rows * shape.columns]
            arrays.append(array.reshape(shape.rows, shape.columns) if shape.shrinks else array)
            start += -(-array.size // 16) * 16
        return arrays

    def _of_dense(self, arrays):
        """Of one array for each parameter those of the dense layers."""
        pairs = list(zip(self._shapes, arrays, strict=True))
        return tuple([array for shape, array in pairs if shape.name == name] for name in ("coefs", "intercepts"))

    def views(self, flat):
        return self._of_dense(self.arrays_in(flat))

    def bind(self, X, y, sample_weight=None, *, codes=None):
        self._X, self._y, self._w, self._codes = X, y, sample_weight, codes

    def release(self):
        self._X = self._y = self._w = self._codes = None

    def _pass(self, X, rows=None, codes=None, masks=None):
        """Outputs before their activation, and the way back."""
        codes = codes if codes is None or rows is None else codes[rows]
        parameters = self.arrays_in(self._values)
        return pass_rows(self._inputs, self._layers, parameters, _gather(X, rows), codes, masks)

    def predict(self, X, rows=None, *, codes=None):
        Z, _ = self._pass(X, rows, codes)
        return _activated(Z, _LOSS[self.loss][0], self.segments).astype(self.dtype)

    def input_gradients(self, X, *, codes=None):
        """d output / d number of the input, (n, n_outputs, n_features)."""
        return _input_gradients(*self._pass(X, None, codes), _LOSS[self.loss][0], self.segments)

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

    def evaluate(self, X, y, sample_weight=None, *, codes=None):
        """Mean loss of other data, without penalty."""
        Z, _ = self._pass(X, None, codes)
        return float(np.average(self._losses(y, Z)[0], weights=sample_weight))

    def loss_and_grad(self, rows=None, alpha=0.0):
        """Loss of the given rows, penalty included, and its gradient as two lists."""
        loss, gradients = self._gradients(rows, alpha, self._shrinks)
        return loss, *self._of_dense(gradients)

    def _augmented(self, batch, optimizer, first):
        """All rows, those of a batch that starts at a row of the epoch changed."""
        if self.augmentation is None:
            return self._X
        X = self._X.copy()
        X[batch] = augmented(X[batch], self.augmentation, optimizer.dropout_seed, optimizer.t, first)
        return X

    def _gradients(self, rows, alpha, penalised, masks=None, X=None):
        """Loss of the given rows, penalty included, and the gradient of each parameter; `penalised` by group."""
        Z, back = self._pass(self._X if X is None else X, rows, self._codes, masks)
        y = self._y if rows is None else self._y[rows]
        w = np.ones(len(y)) if self._w is None else self._w if rows is None else self._w[rows]
        parameters = [array.astype(np.float64) for array in self.arrays_in(self._values)]
        total = w.sum()
        if total == 0:
            return 0.0, [np.zeros_like(parameter) for parameter in parameters]
        losses, slopes = self._losses(y, Z)
        loss, (_, gradients) = w @ losses, back(w[:, None] * slopes)
        for i, (shape, parameter) in enumerate(zip(self._shapes, parameters, strict=True)):
            penalty = alpha if penalised[shape.group] else 0.0
            loss += 0.5 * penalty * (parameter**2).sum()
            gradients[i] = (gradients[i] + penalty * parameter) / total
        return float(loss / total), gradients

    def _masks(self, optimizer, factor, start, n_rows):
        """The dropout masks of a batch that starts at a row of the epoch."""
        if self.dropout is None:
            return None
        seed, t = optimizer.dropout_seed, optimizer.t
        widths = (self._inputs.n_features, *(place.n_out for place in self._places[:-1]))
        return [
            dropout_mask(factor * rate, seed, t, layer, start, (n_rows, n)) if rate else None
            for layer, (rate, n) in enumerate(zip(self.dropout, widths, strict=True))
        ]

    def epoch(self, rows, batch_size, optimizer, alpha):
        rows = np.arange(self._X.shape[0]) if rows is None else rows
        step = _STEP[optimizer.name][1]
        states = [self.arrays_in(flat) for flat in optimizer.state]
        accumulated = 0.0
        params = self.arrays_in(self._values)
        rates, hyper = getattr(optimizer, "rates", None), optimizer.hyper
        decays, factors = getattr(optimizer, "decays", None), getattr(optimizer, "dropout_factors", None)
        groups = {
            name: {"rate": 1.0, "decay": float(shrinks), "penalised": shrinks}
            | getattr(optimizer, "groups", {}).get(name, {})
            for name, shrinks in self._shrinks.items()
        }
        penalised = {name: group["penalised"] for name, group in groups.items()}
        averages = optimizer.name in _AVERAGES
        if averages:
            for param, z in zip(params, states[0], strict=True):
                if optimizer.t == 0:
                    z[:] = param
                param += (1 - hyper["beta_1"]) * (z - param)
        for k, start in enumerate(range(0, len(rows), batch_size)):
            batch = rows[start : start + batch_size]
            masks = self._masks(optimizer, 1.0 if factors is None else factors[k], start, len(batch))
            X = self._augmented(batch, optimizer, start)
            loss, gradients = self._gradients(batch, alpha, penalised, masks, X)
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
            gradients = _clipped(gradients, hyper)
            for i, (shape, param, gradient) in enumerate(zip(self._shapes, params, gradients, strict=True)):
                group = groups[shape.group]
                now.decay = group["decay"] * (hyper.get("weight_decay", 0.0) if decays is None else decays[k])
                now.rate = group["rate"] * rate
                if not averages:
                    param *= 1 - now.rate * now.decay
                step(param, gradient, [state[i] for state in states], now)
            if "max_norm" in hyper:
                for W in filter(lambda W: W.ndim == 2, self.coefs):
                    _shorten(W, hyper["max_norm"])
        if averages:
            for param, z in zip(params, states[0], strict=True):
                param += (1 - 1 / hyper["beta_1"]) * (z - param)
        return accumulated / len(rows)
