"""The contenders. All train the same net from the same weights over the same order of rows, so their losses agree."""

import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import joblib
import numpy as np
import scipy.sparse
from nets import ALPHA, row_orders
from threadpoolctl import ThreadpoolController

CORES = joblib.cpu_count()
RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Peer:
    """One library: what it must import, and its ways of training and predicting (None where it has none).

    trainer(net, X, y) gives fit(epochs), which trains anew and returns the last epoch's loss;
    predictor(fitted, threads) gives predict(X), class probabilities by the weights of a scikit-learn estimator.
    """

    name: str
    module: str
    trainer: Callable | None = None
    predictor: Callable | None = None
    threads: tuple[int | None, ...] = tuple(sorted({1, min(2, CORES), CORES}))  # None: not ours to set

    @property
    def installed(self):
        return all(find_spec(name) for name in {self.module, self.module.partition(".")[0]})


@contextmanager
def limit_threads(n, pools=None):
    """Hold every BLAS and OpenMP pool loaded so far (or those already found) to n threads; None changes nothing."""
    if n is None:
        yield
        return
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n)
    with (pools or ThreadpoolController()).limit(limits=n):
        yield


def _dense(X):
    return X.toarray() if scipy.sparse.issparse(X) else X


# ----------------------------------------------------------------------------------------- scikit-learn and fastmlp


def _estimator_trainer(module, net, X, y):
    estimator = net.estimator(import_module(module))
    return lambda epochs: estimator.set_params(max_iter=epochs).fit(X, y).loss_


def _sklearn_predictor(fitted, threads):
    return fitted.predict_proba


def _fastmlp_predictor(fitted, threads):
    return import_module("fastmlp").from_sklearn(fitted).predict_proba


# ---------------------------------------------------------------------------------------------------- PyTorch, eager


def _torch_model(parameters):
    import torch

    model = torch.nn.Sequential()
    for weights, biases in parameters:
        weights, biases = torch.from_numpy(weights.T), torch.from_numpy(biases)
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *weights.T.shape, dtype=weights.dtype)
        linear.load_state_dict({"weight": weights, "bias": biases})
        model.extend([linear, torch.nn.ReLU()])
    return model[:-1]


def _torch_trainer(net, X, y):
    import torch
    from torch.nn import functional as F

    losses = {
        "log_loss": F.cross_entropy,
        "binary_log_loss": F.binary_cross_entropy_with_logits,
        "squared_error": lambda output, target: F.mse_loss(output, target) / 2,
    }
    loss_of = losses[net.loss]
    dtype = X.dtype
    X = torch.from_numpy(_dense(X))
    y = torch.from_numpy(y if net.loss == "log_loss" else y.astype(dtype)[:, None])

    def fit(epochs):
        parameters, random = net.start(dtype)
        model = _torch_model(parameters)
        # PyTorch at its fastest: Adam fused, and the penalty as weight decay in one group (on the biases too).
        optimizer = torch.optim.Adam(
            model.parameters(), RATE, (BETA_1, BETA_2), EPSILON, weight_decay=ALPHA / net.batch, fused=True
        )
        for order in row_orders(random, len(X), epochs):
            total = 0
            for rows in torch.from_numpy(order).split(net.batch):
                loss = loss_of(model(X.index_select(0, rows)), y.index_select(0, rows))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
        return float(total) / len(X)

    return fit


def _torch_predictor(fitted, threads):
    import torch

    model = _torch_model(zip(fitted.coefs_, fitted.intercepts_, strict=True))

    def predict(X):
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(X)), dim=1).numpy()

    return predict


# ------------------------------------------------------------------------------------- JAX, a whole epoch in one jit


def jax_adam(loss_of):
    """A step of Adam as `jax.lax.scan` takes it: from what `jax_start` gives, and a batch, to the next and the loss.

    loss_of(parameters, *batch) is differentiated by the parameters.
    """
    import jax
    from jax import numpy as jnp

    def step(carry, batch):
        parameters, first, second, t = carry
        loss, gradient = jax.value_and_grad(loss_of)(parameters, *batch)
        t += 1
        rate = RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, gradient)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), parameters, first, second)
        return (parameters, first, second, t), loss

    return step


def jax_start(parameters, dtype):
    """Copies of parameters, Adam's averages for them, and the count of its steps."""
    import jax
    from jax import numpy as jnp

    parameters = jax.tree.map(jnp.array, parameters)
    zeros = partial(jax.tree.map, jnp.zeros_like, parameters)
    return parameters, zeros(), zeros(), jnp.zeros((), dtype)


def _jax_trainer(net, X, y):
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)  # float32 arrays stay float32; without it there is no float64
    dtype = X.dtype
    X, y = jnp.asarray(_dense(X)), jnp.asarray(y)

    def loss_of(parameters, X, y):
        *hidden, (weights, biases) = parameters
        for W, b in hidden:
            X = jax.nn.relu(X @ W + b)
        output = X @ weights + biases
        if net.loss == "log_loss":
            row_losses = -jnp.take_along_axis(jax.nn.log_softmax(output), y[:, None], axis=1)
        elif net.loss == "binary_log_loss":
            row_losses = jax.nn.softplus(output) - y[:, None].astype(dtype) * output
        else:
            row_losses = jnp.square(output - y[:, None]) / 2
        return row_losses.mean() + ALPHA / 2 / len(y) * sum((W**2).sum() for W, _ in parameters)

    step = jax_adam(loss_of)

    @partial(jax.jit, donate_argnums=0)
    def epoch(carry, X, y, batches):
        carry, losses = jax.lax.scan(lambda carry, rows: step(carry, (X[rows], y[rows])), carry, batches)
        return carry, losses.mean()

    def fit(epochs):
        parameters, random = net.start(dtype)
        carry = jax_start(parameters, dtype)
        for order in row_orders(random, len(X), epochs):
            carry, loss = epoch(carry, X, y, order.reshape(-1, net.batch))
        return float(loss)

    return fit


# ------------------------------------------------------------------------------------------------------ ONNX Runtime


def _onnx_predictor(fitted, threads):
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, last = [], [], len(fitted.coefs_) - 1
    for i, (weights, biases) in enumerate(zip(fitted.coefs_, fitted.intercepts_, strict=True)):
        constants += [numpy_helper.from_array(weights, f"W{i}"), numpy_helper.from_array(biases, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [f"A{i}", f"W{i}", f"b{i}"], [f"Z{i}"]))
        nodes.append(helper.make_node("Relu" if i < last else "Softmax", [f"Z{i}"], [f"A{i + 1}"]))
    dtype = TensorProto.FLOAT if weights.dtype == np.float32 else TensorProto.DOUBLE
    ends = [
        helper.make_tensor_value_info(name, dtype, [None, width])
        for name, width in (("A0", fitted.n_features_in_), (f"A{last + 1}", fitted.n_outputs_))
    ]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda X: session.run(None, {"A0": X})[0]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastmlp", "fastmlp", partial(_estimator_trainer, "fastmlp"), _fastmlp_predictor),
        Peer(
            "scikit-learn",
            "sklearn.neural_network",
            partial(_estimator_trainer, "sklearn.neural_network"),
            _sklearn_predictor,
        ),
        Peer("PyTorch", "torch", _torch_trainer, _torch_predictor),
        Peer("JAX", "jax", _jax_trainer, threads=(None,)),
        Peer("ONNX Runtime", "onnxruntime", predictor=_onnx_predictor),
    )
}
