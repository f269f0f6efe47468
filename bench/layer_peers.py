"""Networks of windows and recurrent layers by other libraries: training by JAX, prediction by ONNX Runtime."""

from functools import partial
from importlib.util import find_spec

import numpy as np
from peers import jax_adam, jax_start

from fastmlp.engine import Predictor
from fastmlp.engine.architecture import GRU, LSTM, Convolution, Dense, MaxPool

CALLS = 50  # of a prediction in a lane's run: a service's come one after another


def repeated(run):
    """CALLS calls."""
    return lambda: [run() for _ in range(CALLS)]


def row_predictors(kind, X, n_outputs, threads, **params):
    """Calls of fastmlp and of ONNX Runtime that predict the first row of X by the same network.

    Parameters
    ----------
    kind : ConvRegressor or RecurrentRegressor
    X : ndarray of float32
    n_outputs, threads : int
        Threads of ONNX Runtime; fastmlp takes one for one row.
    **params
        Of the estimator.
    """
    import onnxruntime

    y = np.random.default_rng(0).standard_normal((len(X), n_outputs)).astype(np.float32)
    model = kind(max_iter=1, random_state=0, **params).fit(X, y)
    layers = model._layers(model.n_features_in_, n_outputs)
    parameters = [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair]
    predictor, row = Predictor.of(layers, parameters, "identity"), X[:1].reshape(1, -1).copy()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.to_onnx().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(session.run(None, {"X": row})[0], predictor.quick(row), atol=1e-4)
    return partial(predictor.quick, row), lambda: session.run(None, {"X": row})[0]


def _recurrence(layer, W, b, x):
    """What a layer leaves of x (n, channels, steps)."""
    import jax
    from jax import numpy as jnp

    n, units, gates = len(x), layer.units, layer.gates
    halves = np.split(np.arange(W.shape[1]), 1 + layer.bidirectional)
    quarters = np.split(np.arange(len(b)), 1 + layer.bidirectional)
    outputs = []
    for direction, (columns, own) in enumerate(zip(halves, quarters, strict=True)):
        steps = jnp.moveaxis(x, 2, 0)
        steps = steps[::-1] if layer.reverse or direction == 1 else steps
        W_x, U, biases = W[: layer.channels, columns], W[layer.channels :, columns], b[own]

        def gru(carry, x, W_x=W_x, U=U, biases=biases):
            (h,) = carry
            z = jnp.split(x @ W_x + biases[: 3 * units], 3, axis=1)
            m = jnp.split(h @ U, 3, axis=1)
            r, u = jax.nn.sigmoid(z[0] + m[0]), jax.nn.sigmoid(z[1] + m[1])
            new = jnp.tanh(z[2] + r * (m[2] + biases[3 * units :]))
            h = (1 - u) * new + u * h
            return (h,), h

        def lstm(carry, x, W_x=W_x, U=U, biases=biases):
            h, c = carry
            i, f, g, o = jnp.split(x @ W_x + biases + h @ U, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = (jnp.zeros((n, units), x.dtype),) * (1 if gates == 3 else 2)
        (h, *_), states = jax.lax.scan(gru if gates == 3 else lstm, zeros, steps)
        states = states[::-1] if layer.reverse or direction == 1 else states
        outputs.append(h if layer.output == "last" else jnp.moveaxis(states, 0, 2))
    return jnp.concatenate(outputs, axis=1)


def _outputs(layers, parameters, x):
    """What a network makes of rows x, before the last activation."""
    import jax

    own = iter(parameters)
    for layer in layers[1:]:
        if isinstance(layer, Dense):
            W, b = next(own), next(own)
            x = x.reshape(len(x), -1) @ W + b
        elif isinstance(layer, GRU | LSTM):
            x = _recurrence(layer, next(own), next(own), x.reshape(len(x), layer.channels, layer.steps))
        elif isinstance(layer, Convolution):
            W, b, window = next(own), next(own), layer.window
            x = jax.lax.conv_general_dilated(
                x.reshape(len(x), *layer.shape), W.T.reshape(layer.channels, -1, *window.size), window.stride,
                list(zip(window.before, window.after, strict=True)), rhs_dilation=window.dilation,
                feature_group_count=layer.groups,
            ) + b[:, None, None]  # fmt: skip
        else:
            size, stride = (1, 1, *layer.window.size), (1, 1, *layer.window.stride)
            start, function = (-np.inf, jax.lax.max) if isinstance(layer, MaxPool) else (0.0, jax.lax.add)
            x = jax.lax.reduce_window(x, start, function, size, stride, "VALID")
            x = x if isinstance(layer, MaxPool) else x / np.prod(layer.window.size)
        x = jax.nn.relu(x) if getattr(layer, "activation", "identity") == "relu" else x
    return x


def jax_epoch(layers, parameters, X, y, batch):
    """A pass of Adam over batches in one compiled call of JAX, which takes the threads that it finds; gives the loss.

    Parameters
    ----------
    layers : sequence of layers
        As a Network takes them: convolution, pooling, recurrent layers without lengths, dense ones with "relu".
    parameters : list of ndarray
        Of the network's start, copied.
    X, y : ndarray
        Rows and codes of classes, a multiple of `batch`.
    batch : int
    """
    import jax
    from jax import numpy as jnp

    def loss_of(parameters, X, y):
        rows = jax.nn.log_softmax(_outputs(layers, parameters, X))
        return -jnp.take_along_axis(rows, y[:, None], axis=1).mean()

    @partial(jax.jit, donate_argnums=0)
    def epoch(carry, X, y):
        carry, losses = jax.lax.scan(jax_adam(loss_of), carry, (X, y))
        return carry, losses.mean()

    X, y = jnp.asarray(X).reshape(-1, batch, X.shape[1]), jnp.asarray(y).reshape(-1, batch)
    carry = jax_start(parameters, X.dtype)

    def run():
        nonlocal carry
        carry, loss = epoch(carry, X, y)
        return float(loss)

    return run


def installed(module):
    """Whether a library can be imported."""
    return find_spec(module) is not None
