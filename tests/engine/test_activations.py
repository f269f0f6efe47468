"""Every activation and its derivative against a higher precision, at both ends, and layer by layer."""

import functools

import mpmath
import numpy as np
import pytest
import twin
from networks import DTYPES, bits, bound, copies, data_for, distance, network_for, optimizer_for, pair, same_bits, train

from fastmlp.engine import ACTIVATIONS, ISAS, Network, Predictor, forward
from fastmlp.engine.kernels import apply

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)
derivative = functools.partial(apply, slope=True)


def _clip(x, low, high):
    return min(max(x, mpmath.mpf(low)), mpmath.mpf(high))


def _logistic(z):
    return 1 / (1 + mpmath.exp(-z))


def _softplus(z):
    return max(z, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(z)))


SELU_SCALE, SELU_ALPHA = mpmath.mpf("1.0507009873554804934"), mpmath.mpf("1.6732632423543772848")
EXACT = {
    "identity": lambda z: z,
    "logistic": _logistic,
    "tanh": mpmath.tanh,
    "relu": lambda z: max(z, mpmath.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else z / 100,
    "relu6": lambda z: _clip(z, 0, 6),
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "selu": lambda z: SELU_SCALE * (z if z > 0 else SELU_ALPHA * mpmath.expm1(z)),
    "softplus": _softplus,
    "softsign": lambda z: z / (1 + abs(z)),
    "hard_sigmoid": lambda z: _clip(z + 3, 0, 6) / 6,
    "hard_swish": lambda z: z * _clip(z + 3, 0, 6) / 6,
    "silu": lambda z: z * _logistic(z),
    "gelu": lambda z: z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2,
    "gelu_tanh": lambda z: z * _logistic(mpmath.sqrt(8 / mpmath.pi) * (z + mpmath.mpf("0.044715") * z**3)),
    "mish": lambda z: z * mpmath.tanh(_softplus(z)),
}
KINKS = {"relu": [0], "leaky_relu": [0], "relu6": [0, 6], "elu": [0], "selu": [0], "softsign": [0]}
KINKS |= {"hard_sigmoid": [-3, 3], "hard_swish": [-3, 3]}
# f' written in z, of which the engine keeps z beside f(z)
IN_Z = ("hard_swish", "silu", "gelu", "gelu_tanh", "mish")

# Errors are counted in units of the last place of max(|f|, floor). Below the floor a sum cancels or, where it is a
# thousand times the smallest normal number, a factor is subnormal.
ULPS = {np.float32: 4, np.float64: 5}
FLOORS = {"gelu_tanh": 2.0**-3, "hard_sigmoid": 2.0**-2, "hard_swish": 2.0**-2}
SLOPE_ULPS = {np.float32: 4, np.float64: 6}
SLOPE_FLOOR = {False: 1.0, True: 2.0**-3}  # of slopes in a, and in z


def grid(dtype, count):
    """Arguments around zero, in the whole range where something happens, and neighbours of the kinks."""
    rng = np.random.default_rng(0)
    low = np.log(float(np.finfo(dtype).smallest_subnormal))
    kinks = np.array([-3, 3, 6], dtype=dtype)
    pieces = [
        rng.uniform(-1, 1, count) * np.exp2(rng.uniform(-60, 0, count)),
        rng.uniform(-8, 8, count),
        rng.uniform(low, -low, count),
        -np.sqrt(rng.uniform(0, -2 * low, count)),
        rng.uniform(-1e6, 1e6, count // 10),
        np.nextafter(kinks, dtype(9)),
        np.nextafter(kinks, dtype(-9)),
    ]
    return np.concatenate([np.asarray(piece, dtype=dtype) for piece in pieces])


@functools.cache
def reference(name, dtype, slope):
    """Arguments, and the true values as sums of two float64."""
    x = grid(dtype, 60 if slope else 200)
    with mpmath.workprec(140):
        if slope:
            values = [mpmath.diff(EXACT[name], mpmath.mpf(float(v)), h=mpmath.mpf(2) ** -70) for v in x]
        else:
            values = [EXACT[name](mpmath.mpf(float(v))) for v in x]
        high = np.array([float(v) for v in values])
        low = np.array([float(v - h) for v, h in zip(values, high, strict=True)])
    return x, high, low


def worst_error(got, high, low, dtype, floor):
    """The largest distance from the true value, and where it is."""
    units = np.spacing(np.maximum(np.abs(high), floor).astype(dtype)).astype(np.float64)
    errors = np.abs((got.astype(np.float64) - high) - low) / units
    return errors.max(), int(np.argmax(errors))


def test_every_activation_has_its_formula():
    assert tuple(sorted(EXACT)) == tuple(sorted(ACTIVATIONS)) == tuple(sorted(twin.ACTIVATIONS))


@every_isa
@every_dtype
@every_activation
def test_values_stay_within_the_bound(name, dtype, isa):
    x, high, low = reference(name, dtype, False)
    floor = FLOORS.get(name, 1024 * float(np.finfo(dtype).tiny))
    error, worst = worst_error(apply(name, x.copy(), isa), high, low, dtype, floor)
    assert error <= ULPS[dtype], f"{name}({x[worst]!r}) is {error:.2f} ulp off"


@every_isa
@every_dtype
@every_activation
def test_derivatives_stay_within_the_bound(name, dtype, isa):
    x, high, low = reference(name, dtype, True)
    smooth = np.all([np.abs(x - kink) > 1e-6 for kink in KINKS.get(name, [np.inf])], axis=0)
    got = derivative(name, x.copy(), isa)
    error, worst = worst_error(got[smooth], high[smooth], low[smooth], dtype, SLOPE_FLOOR[name in IN_Z])
    assert error <= SLOPE_ULPS[dtype], f"{name}'({x[smooth][worst]!r}) is {error:.2f} ulp off"


# name -> f(-inf), f(inf)
LIMITS = {
    "identity": (-np.inf, np.inf),
    "logistic": (0, 1),
    "tanh": (-1, 1),
    "leaky_relu": (-np.inf, np.inf),
    "relu6": (0, 6),
    "elu": (-1, np.inf),
    "selu": (-float(SELU_SCALE * SELU_ALPHA), np.inf),
    "softsign": (-1, 1),
    "hard_sigmoid": (0, 1),
}


@every_isa
@every_dtype
@every_activation
def test_far_out_the_limits_are_reached(name, dtype, isa):
    below, above = LIMITS.get(name, (0, np.inf))
    largest = float(np.finfo(dtype).max)
    np.testing.assert_allclose(
        apply(name, np.array([-np.inf, np.inf], dtype=dtype), isa), [below, above], rtol=np.finfo(dtype).eps
    )
    x = np.array([-largest, -1e30, 1e30, largest], dtype=dtype)
    factor = {"leaky_relu": 0.01, "identity": 1}.get(name, 0)
    scale = float(SELU_SCALE) if name == "selu" else 1
    with np.errstate(over="ignore"):  # selu of the largest number
        expected = [v * factor if below == -np.inf else below for v in x[:2].astype(float)]
        expected += [v * scale if above == np.inf else above for v in x[2:].astype(float)]
        expected = np.array(expected).astype(dtype)
    np.testing.assert_allclose(apply(name, x.copy(), isa), expected, rtol=2 * np.finfo(dtype).eps)
    slopes = derivative(name, np.concatenate([x, np.array([-np.inf, np.inf], dtype=dtype)]), isa)
    expected = np.where([False, False, True, True, False, True], scale if above == np.inf else 0, factor)
    np.testing.assert_allclose(slopes, expected, rtol=2 * np.finfo(dtype).eps, atol=1e-30)


@every_isa
@every_dtype
@every_activation
def test_what_is_no_number_stays_none(name, dtype, isa):
    assert np.isnan(apply(name, np.full(20, np.nan, dtype=dtype), isa)).all()
    if name not in ("identity", *KINKS) or name in IN_Z:
        assert np.isnan(derivative(name, np.full(20, np.nan, dtype=dtype), isa)).all()


@every_isa
@every_dtype
@pytest.mark.parametrize(
    "name, x, expected",
    [
        ("relu", [0.0, -0.0], [0.0, 0.0]),
        ("relu6", [0.0, -0.0, 6.0, 1e-30], [0.0, 0.0, 0.0, 1.0]),
        ("leaky_relu", [0.0, 1e-30, -1e-30], [0.01, 1.0, 0.01]),
        ("elu", [0.0, 1e-30], [1.0, 1.0]),
        ("selu", [0.0, 1e-30], [float(SELU_SCALE * SELU_ALPHA), float(SELU_SCALE)]),
        ("softsign", [0.0], [1.0]),
        ("hard_sigmoid", [-3.0, 3.0, 0.0], [0.0, 0.0, 1 / 6]),
        ("hard_swish", [-3.0, 3.0, 0.0], [0.0, 1.0, 0.5]),
    ],
)
def test_slopes_at_the_kinks(name, x, expected, dtype, isa):
    slopes = derivative(name, np.array(x, dtype=dtype), isa)
    np.testing.assert_allclose(slopes, expected, rtol=2 * np.finfo(dtype).eps)


@every_dtype
@every_activation
def test_pytorch_has_the_same(name, dtype):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = {"gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"), "hard_swish": functional.hardswish}
    theirs |= {"identity": lambda z: z * 1, "logistic": torch.sigmoid, "hard_sigmoid": functional.hardsigmoid}
    theirs["softplus"] = lambda z: functional.softplus(z, threshold=50)  # which cuts it off elsewhere
    z = np.linspace(-12, 12, 961, dtype=dtype)  # the kinks are among them
    tensor = torch.tensor(z, requires_grad=True)
    value = theirs.get(name) or getattr(functional, name)
    value = value(tensor)
    value.sum().backward()
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-15}
    np.testing.assert_allclose(apply(name, z.copy()), value.detach().numpy(), **close)
    if name == "hard_sigmoid":
        close = {"rtol": 1e-6}  # its 1 / 6 has single precision
    np.testing.assert_allclose(derivative(name, z.copy()), tensor.grad.numpy(), **(close | {"atol": 4 * close["rtol"]}))


@every_dtype
@every_activation
def test_values_and_slopes_agree_bit_for_bit(name, dtype):
    x = np.concatenate([grid(dtype, 1000), np.array([0, -0.0, np.inf, -np.inf, np.nan], dtype=dtype)])
    for function in (apply, derivative):
        results = [function(name, x.copy(), isa) for isa in ISAS if isa != "baseline"]
        assert all(np.array_equal(bits(result), bits(results[0])) for result in results)


# ---- in networks ----

MIXED = ("gelu", "relu", "mish", "softplus")


@every_isa
@every_dtype
@every_activation
@pytest.mark.parametrize("layer_units", [(7, 33, 5, 17, 3), (64, 100, 2)], ids=str)
def test_training(layer_units, name, dtype, isa):
    network, expected = pair(layer_units, name, "log_loss", dtype, 300, isa=isa, weights=True)
    losses = [train(net, optimizer_for(net, "adam"), 130) for net in (network, expected)]
    close = 2e-5 if dtype == np.float32 else 5e-14
    np.testing.assert_allclose(*losses, rtol=close)
    assert distance(network.coefs + network.intercepts, expected.coefs + expected.intercepts) < close


@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])
@pytest.mark.parametrize("n_rows, batch_size", [(600, 200), (2600, 2500)], ids=["groups", "chunks"])
@pytest.mark.parametrize("activation", ["gelu", "silu", MIXED[:2]], ids=str)
def test_teams_batches_and_instruction_sets_change_no_bit(activation, n_rows, batch_size, sparse, dtype):
    layer_units, trained = (64, 100, 90, 10), []
    expected = bound(layer_units, activation, "log_loss", dtype, n_rows, kind=twin.TwinNetwork, sparse=sparse)
    train(expected, optimizer_for(expected, "sgd"), batch_size)
    for isa in ISAS:
        for n_threads in (1, 2, 3):
            network = bound(
                layer_units, activation, "log_loss", dtype, n_rows, n_threads=n_threads, isa=isa, sparse=sparse
            )
            losses = train(network, optimizer_for(network, "sgd"), batch_size)
            assert (network.row_groups > 1) == (sparse is None and batch_size == 200)
            assert distance(network.coefs, expected.coefs) < (2e-5 if dtype == np.float32 else 5e-14)
            if isa != "baseline":
                trained.append([*copies(network.coefs + network.intercepts), np.array(losses)])
    assert all(same_bits(arrays, trained[0]) for arrays in trained)


@every_dtype
@every_activation
def test_one_name_for_all_layers_or_one_for_each(name, dtype):
    networks = [
        bound((5, 18, 7, 3), activation, "log_loss", dtype, 50) for activation in (name, [name, name], (name, name))
    ]
    for network in networks:
        train(network, optimizer_for(network, "adam"), 20)
    assert all(same_bits(network.coefs, networks[0].coefs) for network in networks)
    assert [network.activation for network in networks] == [name, (name, name), (name, name)]


@every_isa
@every_dtype
@pytest.mark.parametrize("activation", [MIXED, ["tanh", "silu", "identity", "elu"], ["hard_swish"] * 4], ids=str)
def test_an_activation_for_each_layer(activation, dtype, isa):
    layer_units = (9, 20, 17, 5, 33, 4)
    network, expected = pair(layer_units, activation, "squared_error", dtype, 90, isa=isa)
    close = 2e-5 if dtype == np.float32 else 5e-14
    _, *ours = network.loss_and_grad(alpha=0.1)
    _, *theirs = expected.loss_and_grad(alpha=0.1)
    assert distance(sum(ours, []), sum(theirs, [])) < close
    losses = [train(net, optimizer_for(net, "adam"), 32) for net in (network, expected)]
    np.testing.assert_allclose(*losses, rtol=close)
    X, _, _ = data_for(layer_units, "squared_error", 40, dtype)
    predicted = network.predict(X)
    assert distance([predicted], [expected.predict(X)]) < close
    arrays = network.coefs, network.intercepts
    assert same_bits([forward(*arrays, activation, "identity", X, isa=isa)], [predicted])
    predictor = Predictor(*arrays, activation, "identity", isa=isa)
    assert predictor.activation == tuple(activation) == network.activation
    assert predictor.serves(*arrays, list(activation), "identity")
    assert predictor.serves(*arrays, tuple(activation), "identity")
    assert not predictor.serves(*arrays, tuple(activation)[::-1] + ("tanh",), "identity")
    assert not predictor.serves(*arrays, "relu", "identity")


def test_no_hidden_layer_has_no_activation():
    networks = [bound((5, 3), activation, "log_loss", np.float64, 50) for activation in ("relu", ())]
    for network in networks:
        train(network, optimizer_for(network, "sgd"), 20)
    assert same_bits(networks[0].coefs, networks[1].coefs)


@pytest.mark.parametrize(
    "activation, match",
    [
        (("relu",), r"activation=\('relu',\): 1 names for 2 hidden layers"),
        (["relu"] * 3, "3 names for 2 hidden layers"),
        ((), "0 names for 2 hidden layers"),
        (("relu", "cosine"), "unknown activation 'cosine': one of .*'gelu'"),
    ],
)
def test_refused(activation, match):
    network = network_for((4, 3, 5, 2), "tanh", "log_loss", np.float64)
    for call in (
        lambda: Network((4, 3, 5, 2), activation, "log_loss", np.float64),
        lambda: Predictor(network.coefs, network.intercepts, activation, "softmax"),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_softmax_has_no_derivative_by_elements():
    with pytest.raises(ValueError, match="softmax works on rows"):
        derivative("softmax", np.ones(3))
