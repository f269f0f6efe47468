"""Every optimizer's steps, and what may be done to gradient and weights before and after them."""

import signal
import threading

import numpy as np
import pytest
from networks import (
    DTYPES,
    HYPER,
    OPTIMIZER_CASES,
    bound,
    copies,
    distance,
    network_for,
    optimizer_for,
    pair,
    parameters,
    same_bits,
    train,
)

from fastmlp.engine import ISAS

CLOSE = {np.float32: 5e-5, np.float64: 2e-13}
EXTRAS = {
    "decay": {"weight_decay": 0.3},
    "value": {"clip_value": 0.02},
    "norm": {"clip_norm": 0.05, "weight_decay": 0.2},
    "columns": {"max_norm": 0.6},
    "all": {"clip_norm": 0.1, "max_norm": 0.7, "weight_decay": 0.1},
}
AVERAGES = "schedule_free_adamw"

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_optimizer = pytest.mark.parametrize(
    "name, hyper",
    OPTIMIZER_CASES,
    ids=lambda case: case if isinstance(case, str) else "-".join(map(str, case.values())),
)
every_extra = pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)


def with_extra(name, hyper, extra):
    """Hyperparameters with those of the extras that the optimizer takes."""
    return hyper | {key: value for key, value in extra.items() if (name, key) != (AVERAGES, "max_norm")}


def rates_for(n_batches, rate, seed=7):
    return rate * np.random.default_rng(seed).uniform(0.2, 1.0, n_batches)


def check_steps(network, expected, name, hyper, batch_size, *, n_rows, epochs=2, rows=None, alpha=0.02):
    """The same epochs, with a rate for each batch, in the engine and in the twin."""
    optimizers = [optimizer_for(net, name, hyper) for net in (network, expected)]
    losses = [[], []]
    for epoch in range(epochs):
        for net, optimizer, seen in zip((network, expected), optimizers, losses, strict=True):
            optimizer.rates = rates_for(-(-n_rows // batch_size), optimizer.rate, epoch)
            seen.append(net.epoch(rows, batch_size, optimizer, alpha))
    close = CLOSE[network.dtype.type]
    np.testing.assert_allclose(*losses, rtol=close)
    assert distance(parameters(network), parameters(expected)) < close
    for ours, theirs in zip(optimizers[0].state, optimizers[1].state, strict=True):
        assert distance(sum(network.views(ours), []), sum(expected.views(theirs), [])) < close
    assert getattr(optimizers[0], "memory", []) == pytest.approx(getattr(optimizers[1], "memory", []), rel=1e-14)


# ---- against the twin ----


@every_isa
@every_dtype
@every_optimizer
@every_extra
@pytest.mark.parametrize("layer_units", [(3, 2), (17, 33, 5), (7, 1, 130, 3)], ids=str)
def test_steps(layer_units, extra, name, hyper, dtype, isa):
    network, expected = pair(layer_units, "tanh", "squared_error", dtype, 45, isa=isa, weights=True)
    check_steps(network, expected, name, with_extra(name, hyper, extra), 16, n_rows=45)


@every_dtype
@every_extra
@pytest.mark.parametrize("name", ["sgd", "adamw", AVERAGES])
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])
def test_steps_after_chunks(sparse, name, extra, dtype):
    network, expected = pair((12, 20, 3), "tanh", "log_loss", dtype, 2600, sparse=sparse, weights=True)
    rows = np.random.default_rng(0).permutation(2600)
    hyper = with_extra(name, optimizer_for(network, name).hyper, extra)
    check_steps(network, expected, name, hyper, 2500, n_rows=2600, rows=rows)


@every_dtype
@every_extra
@pytest.mark.parametrize("name", ["sgd", "nadam", AVERAGES])
def test_steps_after_groups(name, extra, dtype):
    network, expected = pair((64, 100, 10), "tanh", "log_loss", dtype, 407)
    check_steps(network, expected, name, with_extra(name, optimizer_for(network, name).hyper, extra), 200, n_rows=407)
    assert network.row_groups > 1


# ---- against PyTorch ----


def torch_optimizer(torch, name, params, rate, hyper):
    betas = hyper.get("beta_1"), hyper.get("beta_2")
    eps = hyper.get("epsilon")
    return {
        "sgd": lambda: torch.optim.SGD(params, rate, hyper["momentum"], nesterov=hyper["nesterov"]),
        "adam": lambda: torch.optim.Adam(params, rate, betas, eps),
        "adamw": lambda: torch.optim.AdamW(params, rate, betas, eps, weight_decay=0.0),
        "nadam": lambda: torch.optim.NAdam(params, rate, betas, eps),
        "rmsprop": lambda: torch.optim.RMSprop(params, rate, alpha=hyper["beta_2"], eps=eps),
        "adagrad": lambda: torch.optim.Adagrad(params, rate, eps=eps),
    }[name]()


TORCH_CASES = [
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.5, "nesterov": False}),
    # its epsilon is inside the bias correction, ours outside: none in effect
    ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-30}),
    ("adamw", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    ("nadam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    ("rmsprop", {"beta_2": 0.95, "epsilon": 1e-3}),
    ("adagrad", {"epsilon": 1e-3}),
]


@pytest.fixture
def torch():
    """PyTorch, with its own scalars in double as well."""
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("extra", [{}, *EXTRAS.values()], ids=["plain", *EXTRAS])
@pytest.mark.parametrize("name, hyper", TORCH_CASES, ids=[name for name, _ in TORCH_CASES])
def test_twenty_steps_of_pytorch(name, hyper, extra, torch):
    network = bound((6, 9, 3), "tanh", "squared_error", np.float64, 40)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 6)), rng.standard_normal((40, 3))
    network.bind(X, y)
    rate, alpha = 0.02, 0.1
    coefs, intercepts = ([torch.tensor(a, requires_grad=True) for a in arrays]
                         for arrays in (copies(network.coefs), copies(network.intercepts)))  # fmt: skip
    theirs = torch_optimizer(torch, name, coefs + intercepts, rate, hyper)
    for step in range(20):
        rows = slice(20 * (step % 2), 20 * (step % 2) + 20)
        hidden = torch.tanh(torch.tensor(X[rows]) @ coefs[0] + intercepts[0])
        error = hidden @ coefs[1] + intercepts[1] - torch.tensor(y[rows])
        loss = (0.5 * (error**2).sum() + 0.5 * alpha * sum((W**2).sum() for W in coefs)) / 20
        theirs.zero_grad()
        loss.backward()
        with torch.no_grad():
            if "clip_value" in extra:
                torch.nn.utils.clip_grad_value_(coefs + intercepts, extra["clip_value"])
            if "clip_norm" in extra:
                norm = torch.sqrt(sum((p.grad**2).sum() for p in coefs + intercepts))
                for param in coefs + intercepts:
                    param.grad *= min(1.0, extra["clip_norm"] / float(norm))
            for W in coefs:
                W *= 1 - rate * extra.get("weight_decay", 0.0)
            theirs.step()
            if "max_norm" in extra:
                for W in coefs:
                    W[:] = torch.renorm(W, 2, 1, extra["max_norm"])
    ours = optimizer_for(network, name, hyper | extra)
    ours.rate = rate
    train(network, ours, 20, epochs=10, alpha=alpha)
    # torch.renorm adds 1e-7 to the length
    rtol = 1e-6 if "max_norm" in extra else 1e-12
    for array, tensor in zip(parameters(network), coefs + intercepts, strict=True):
        np.testing.assert_allclose(array, tensor.detach().numpy(), rtol=rtol, atol=rtol / 10)


def test_weight_decay_is_that_of_pytorch_s_adamw(torch):
    network = bound((4, 3), "tanh", "squared_error", np.float64, 30)
    W, b = (torch.tensor(array, requires_grad=True) for array in parameters(network))
    hyper = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6}
    theirs = torch.optim.AdamW(
        [{"params": [W], "weight_decay": 0.4}, {"params": [b], "weight_decay": 0.0}], 0.05, (0.9, 0.99), 1e-6
    )
    ours = optimizer_for(network, "adamw", hyper | {"weight_decay": 0.4})
    ours.rate = 0.05
    for _ in range(20):
        _, (coef_grad,), (intercept_grad,) = network.loss_and_grad(alpha=0.1)
        W.grad, b.grad = torch.tensor(coef_grad), torch.tensor(intercept_grad)
        theirs.step()
        network.epoch(None, 30, ours, 0.1)
    for array, tensor in zip(parameters(network), (W, b), strict=True):
        np.testing.assert_allclose(array, tensor.detach().numpy(), rtol=1e-12)


# ---- schedule-free ----


def test_parameters_between_epochs_are_the_mean_of_all_z():
    network = bound((5, 7, 2), "tanh", "log_loss", np.float64, 30)
    optimizer = optimizer_for(network, AVERAGES)
    steps = []
    for _ in range(12):
        network.epoch(None, 30, optimizer, 0.01)  # one step
        steps.append(copies(sum(network.views(optimizer.state[0]), [])))
        means = [np.mean(arrays, axis=0) for arrays in zip(*steps, strict=True)]
        assert distance(parameters(network), means) < 1e-14
    assert distance(steps[-1], means) > 1e-3


def test_rates_weigh_the_steps_of_the_average():
    network = bound((5, 7, 2), "tanh", "log_loss", np.float64, 30)
    optimizer = optimizer_for(network, AVERAGES)
    steps, weights = [], []
    for rate in (0.0, 0.01, 0.03, 0.02, 0.0):
        optimizer.rate = rate
        network.epoch(None, 30, optimizer, 0.01)
        steps.append(copies(sum(network.views(optimizer.state[0]), [])))
        weights.append(max([rate, *np.sqrt(weights)]) ** 2)
        if any(weights):
            means = [np.average(arrays, axis=0, weights=weights) for arrays in zip(*steps, strict=True)]
            assert distance(parameters(network), means) < 1e-14
    assert optimizer.memory == pytest.approx([sum(weights), 0.03], rel=1e-14)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interrupted_epoch_leaves_the_average_too(n_threads):
    def make():
        network = bound((6, 20, 3), "tanh", "log_loss", np.float64, 3000, n_threads=n_threads)
        return network, optimizer_for(network, AVERAGES)

    rows = np.random.default_rng(0).integers(3000, size=400_000 * 8)
    network, optimizer = make()
    bias, first = network.intercepts[-1], network.intercepts[-1][0]

    def watch():
        while bias[0] == first:
            pass
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            network.epoch(rows, 8, optimizer, 0.01)
    finally:
        watcher.join()
        signal.signal(signal.SIGINT, before)
    assert 0 < optimizer.t < 400_000
    again, expected = make()
    again.epoch(rows[: optimizer.t * 8], 8, expected, 0.01)
    assert (expected.t, expected.memory) == (optimizer.t, optimizer.memory)
    assert same_bits(parameters(network), parameters(again))
    assert same_bits(optimizer.state, expected.state)


def test_other_calls_see_the_average():
    network, expected = pair((5, 7, 2), "tanh", "log_loss", np.float64, 30)
    for net in (network, expected):
        train(net, optimizer_for(net, AVERAGES), 10)
    ours, theirs = network.loss_and_grad(alpha=0.1), expected.loss_and_grad(alpha=0.1)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-13)
    assert distance(ours[1] + ours[2], theirs[1] + theirs[2]) < 1e-12


# ---- the same bits ----


@every_dtype
@every_optimizer
@every_extra
@pytest.mark.parametrize(
    "layer_units, n_rows, batch_size, sparse",
    [((33, 100, 10), 230, 100, None), ((300, 7, 2), 40, 40, np.int32), ((20, 40, 3), 2600, 2500, None)],
    ids=["tails", "wide-csr", "chunks"],
)
def test_any_number_of_threads(layer_units, n_rows, batch_size, sparse, extra, name, hyper, dtype):
    results = []
    for n_threads in (1, 2, 3):
        network = bound(layer_units, "tanh", "log_loss", dtype, n_rows, n_threads=n_threads, sparse=sparse)
        optimizer = optimizer_for(network, name, with_extra(name, hyper, extra))
        losses = train(network, optimizer, batch_size)
        results.append([np.array(losses), *parameters(network), *optimizer.state])
    assert all(same_bits(result, results[0]) for result in results)


@every_dtype
@every_optimizer
@every_extra
def test_every_instruction_set_with_fma(extra, name, hyper, dtype):
    results = []
    for isa in (isa for isa in ISAS if isa != "baseline"):
        network = bound((33, 45, 10), "tanh", "log_loss", dtype, 150, isa=isa)
        optimizer = optimizer_for(network, name, with_extra(name, hyper, extra))
        losses = train(network, optimizer, 64)
        results.append([np.array(losses), *parameters(network), *optimizer.state])
    assert all(same_bits(result, results[0]) for result in results)


@every_dtype
@every_optimizer
@pytest.mark.parametrize("extra", [
    {"clip_value": 1e30}, {"clip_norm": 1e30}, {"max_norm": 1e30}, {"weight_decay": 0.0}, {"weight_decay": 1e-300},
], ids=str)  # fmt: skip
def test_what_has_no_effect_changes_no_bit(extra, name, hyper, dtype):
    hyper = {key: value for key, value in hyper.items() if key != "weight_decay"}
    results = []
    for more in ({}, extra):
        network = bound((64, 100, 10), "tanh", "log_loss", dtype, 230)
        optimizer = optimizer_for(network, name, with_extra(name, hyper, more))
        losses = train(network, optimizer, 100)
        results.append([np.array(losses), *parameters(network), *optimizer.state])
    assert same_bits(*results)


@every_optimizer
def test_rates_are_those_of_epochs_of_one_batch(name, hyper):
    networks = [bound((6, 9, 3), "tanh", "log_loss", np.float64, 50) for _ in range(2)]
    whole, parts = (optimizer_for(network, name, hyper) for network in networks)
    whole.rates = rates_for(7, whole.rate)
    whole.rate = np.nan
    networks[0].epoch(None, 8, whole, 0.01)
    for k, rate in enumerate(rates_for(7, parts.rate)):
        parts.rate = rate
        networks[1].epoch(np.arange(8 * k, min(8 * k + 8, 50)), 8, parts, 0.01)
    assert (whole.t, getattr(whole, "memory", None)) == (parts.t, getattr(parts, "memory", None))
    if name == AVERAGES:  # x and y are made from each other more often
        assert distance(parameters(networks[0]), parameters(networks[1])) < 1e-14
    else:
        assert same_bits(parameters(networks[0]), parameters(networks[1]))
        assert same_bits(whole.state, parts.state)


def test_no_option_stays_behind():
    networks = [bound((20, 30, 4), "tanh", "log_loss", np.float32, 100) for _ in range(2)]
    extra = {"clip_norm": 1e-3, "max_norm": 0.1, "weight_decay": 0.5}
    for network, first in zip(networks, (extra, {}), strict=True):
        before = parameters(network)
        train(network, optimizer_for(network, "sgd", {"momentum": 0.0, "nesterov": False} | first), 30)
        for array, values in zip(network.coefs + network.intercepts, before, strict=True):
            array[...] = values
        train(network, optimizer_for(network, "sgd"), 30)
        network.loss_and_grad()
    assert same_bits(parameters(networks[0]), parameters(networks[1]))


# ---- what clipping and limits promise ----

PLAIN = {"momentum": 0.0, "nesterov": False}


def one_step(extra, *, dtype=np.float64, alpha=0.5, network=None):
    """Parameters before, after, and the gradient of one step of plain gradient descent at rate 1."""
    network = network or bound((6, 9, 3), "tanh", "squared_error", dtype, 20)
    before = parameters(network)
    _, coef_grads, intercept_grads = network.loss_and_grad(alpha=alpha)
    gradient = copies(coef_grads + intercept_grads)
    optimizer = optimizer_for(network, "sgd", PLAIN | extra)
    optimizer.rate = 1.0
    network.epoch(None, 20, optimizer, alpha)
    return before, parameters(network), gradient


def length(arrays):
    return np.sqrt(sum((array.astype(float) ** 2).sum() for array in arrays))


@pytest.mark.parametrize("limit", [1e-6, 0.1, 0.9])
def test_a_long_gradient_keeps_its_direction_and_gets_the_length(limit):
    before, after, gradient = one_step({})
    limit *= length(gradient)
    before, after, gradient = one_step({"clip_norm": limit})
    step = [b - a for a, b in zip(after, before, strict=True)]
    np.testing.assert_allclose(length(step), limit, rtol=1e-9)
    for moved, slope in zip(step, gradient, strict=True):
        np.testing.assert_allclose(moved, slope * limit / length(gradient), rtol=1e-8, atol=1e-15)


def test_elements_are_held_within_the_value():
    before, after, gradient = one_step({"clip_value": 0.01})
    for a, b, slope in zip(after, before, gradient, strict=True):
        np.testing.assert_allclose(b - a, np.clip(slope, -0.01, 0.01), rtol=1e-9, atol=1e-15)
    assert max(np.abs(slope).max() for slope in gradient) > 0.01


@pytest.mark.parametrize("layer_units", [(1, 1), (7, 31, 33), (200, 65, 2), (3, 1000)], ids=str)
@every_dtype
@every_isa
def test_columns_are_no_longer_than_the_limit(isa, dtype, layer_units):
    network = bound(layer_units, "tanh", "squared_error", dtype, 20, isa=isa)
    lengths = np.concatenate([np.linalg.norm(W.astype(float), axis=0) for W in network.coefs])
    limit = float(np.median(lengths))
    before, after, _ = one_step({"max_norm": limit}, dtype=dtype, network=network)
    free = bound(layer_units, "tanh", "squared_error", dtype, 20, isa=isa)
    _, unlimited, _ = one_step({}, dtype=dtype, network=free)
    for W, wanted in zip(after[: len(layer_units) - 1], unlimited, strict=False):
        reached, asked = (np.linalg.norm(array.astype(float), axis=0) for array in (W, wanted))
        assert (reached <= limit * (1 + 4 * np.finfo(dtype).eps)).all()
        short = asked < limit * (1 - 4 * np.finfo(dtype).eps)
        assert same_bits([W[:, short]], [wanted[:, short]])
        np.testing.assert_allclose(W, wanted * np.minimum(1, limit / asked), rtol=20 * np.finfo(dtype).eps)
    assert same_bits(after[len(layer_units) - 1 :], unlimited[len(layer_units) - 1 :])


def test_lengths_are_summed_beyond_the_largest_float():
    network = bound((3, 2), "tanh", "squared_error", np.float32, 20)
    network.bind(np.ones((20, 3), np.float32), np.full((20, 2), 1e30, np.float32))
    before, after, _ = one_step({"clip_norm": 2.0}, dtype=np.float32, network=network, alpha=0.0)
    assert length([b - a for a, b in zip(after, before, strict=True)]) == pytest.approx(2, rel=1e-5)
    network.bind(np.zeros((20, 3), np.float32), np.zeros((20, 2), np.float32), np.zeros(20))
    network.coefs[0][:] = 1e30
    _, (W, _), _ = one_step({"max_norm": 1.0}, dtype=np.float32, network=network, alpha=0.0)
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("extra", [{"clip_value": 0.1}, {"clip_norm": 0.1}, {"max_norm": 1.0}], ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@every_isa
@every_dtype
def test_what_is_not_finite_shows(dtype, isa, value, extra):
    network = bound((6, 9, 3), "relu", "squared_error", dtype, 20, isa=isa)
    network.coefs[1][2, 1] = value
    with np.errstate(invalid="ignore", over="ignore"):
        optimizer = optimizer_for(network, "sgd", PLAIN | extra)
        loss = network.epoch(None, 20, optimizer, 0.0)
    assert not np.isfinite(loss)
    assert not np.isfinite(network.coefs[1]).all()


def test_decay_shrinks_weights_alone():
    network = bound((6, 9, 3), "tanh", "squared_error", np.float64, 20)
    network.bind(np.zeros((20, 6)), np.zeros((20, 3)), np.zeros(20))
    before = parameters(network)
    optimizer = optimizer_for(network, "sgd", PLAIN | {"weight_decay": 0.25})
    optimizer.rates = np.array([0.5, 0.1])
    network.epoch(None, 10, optimizer, 0.0)
    for W, values in zip(network.coefs, before, strict=False):
        np.testing.assert_allclose(W, values * (1 - 0.125) * (1 - 0.025), rtol=1e-15)
    assert same_bits(network.intercepts, before[2:])


# ---- what is refused ----


@pytest.mark.parametrize(
    "name, attributes, extra, match",
    [
        ("sgd", {}, {"clip_norm": 1.0, "clip_value": 1.0}, "clip_norm=1.0 and clip_value=1.0: one of them"),
        ("sgd", {}, {"clip_norm": 0.0}, "clip_norm=0.0: finite and above 0"),
        ("sgd", {}, {"clip_value": -1.0}, "clip_value=-1.0: finite and above 0"),
        ("sgd", {}, {"max_norm": np.nan}, "max_norm=nan: finite and above 0"),
        ("sgd", {}, {"max_norm": np.inf}, "max_norm=inf: finite and above 0"),
        ("sgd", {}, {"weight_decay": -0.1}, "weight_decay=-0.1: finite and at least 0"),
        ("sgd", {"rates": np.ones(3)}, {}, r"rates: shape \(4,\) of float64, not \(3,\) of float64"),
        ("sgd", {"rates": np.ones((4, 1))}, {}, r"rates: shape \(4,\)"),
        ("sgd", {"rates": np.ones(4, np.float32)}, {}, "rates: .* float32"),
        ("nadam", {"memory": [0.5, 0.5]}, {}, "2 numbers in memory after 0 updates, not 1"),
        ("nadam", {"t": 3}, {}, "0 numbers in memory after 3 updates, not 1"),
        (AVERAGES, {}, {"beta_1": 0.0}, "beta_1=0.0: above 0 for schedule_free_adamw"),
        (AVERAGES, {}, {"max_norm": 1.0}, "max_norm=1.0: not for schedule_free_adamw"),
    ],
)
def test_refused(name, attributes, extra, match):
    network = bound((6, 9, 3), "tanh", "log_loss", np.float64, 20)
    before = parameters(network)
    optimizer = optimizer_for(network, name)
    optimizer.hyper = optimizer.hyper | extra
    vars(optimizer).update(attributes)
    updates = optimizer.t
    with pytest.raises(ValueError, match=match):
        network.epoch(None, 5, optimizer, 0.0)
    assert optimizer.t == updates
    assert same_bits(parameters(network), before)
    train(network, optimizer_for(network, "sgd"), 5)


@every_dtype
@every_extra
@pytest.mark.parametrize("name", [name for name in HYPER if name != AVERAGES])
def test_a_step_by_sums_is_that_of_the_batch(name, extra, dtype):
    """Bit for bit, also by a network without data, and of more rows than a chunk has."""
    n_rows = 2100 if extra == EXTRAS["all"] else 37
    trained, summed = (bound((5, 9, 3), "tanh", "log_loss", dtype, n_rows, weights=True) for _ in range(2))
    bare = network_for((5, 9, 3), "tanh", "log_loss", dtype)
    hyper = with_extra(name, HYPER[name][0], extra)
    ours, theirs = optimizer_for(bare, name, hyper), optimizer_for(trained, name, hyper)
    for epoch in range(4):
        ours.rates = theirs.rates = rates_for(1, ours.rate, epoch)
        for own, values in zip(summed.coefs + summed.intercepts, bare.coefs + bare.intercepts, strict=True):
            own[...] = values
        loss = bare.step(*summed.sums(), ours, 0.02)
        np.testing.assert_allclose(loss, trained.epoch(None, n_rows, theirs, 0.02), rtol=1e-15)
        assert ours.t == theirs.t and getattr(ours, "memory", None) == getattr(theirs, "memory", None)
        assert same_bits(parameters(bare), parameters(trained))
    for own, expected in zip(ours.state, theirs.state, strict=True):
        np.testing.assert_array_equal(own, expected)


def test_sums_add_up_and_have_weights():
    network = bound((5, 9, 3), "relu", "log_loss", np.float64, 30, weights=True)
    loss, weight, gradients = network.sums()
    whole = copies(gradients)
    parts = [np.arange(13), np.arange(13, 30)]
    each = [(part[0], part[1], copies(part[2])) for part in map(network.sums, parts)]
    np.testing.assert_allclose([loss, weight], np.sum([part[:2] for part in each], axis=0), rtol=1e-14)
    for total, *gradients in zip(whole, *(part[2] for part in each), strict=True):
        np.testing.assert_allclose(total, sum(gradients), rtol=1e-12, atol=1e-14)
    mean, coef_grads, intercept_grads = network.loss_and_grad()
    np.testing.assert_allclose(mean, loss / weight, rtol=1e-14)
    assert distance(coef_grads + intercept_grads, [total / weight for total in whole]) < 1e-13
    with pytest.raises(ValueError, match="optimizer='schedule_free_adamw': a gradient at its averages"):
        network.step(loss, weight, whole, optimizer_for(network, AVERAGES), 0.0)
