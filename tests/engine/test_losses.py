"""The loss table: values and slopes against other sources, options, segments, and the loss of other data."""

import mpmath
import numpy as np
import pytest
import scipy.special
import sklearn._loss as sklearn_loss
import sklearn.metrics
from networks import (
    CHECKED_OPTIONS,
    DTYPES,
    bound,
    copies,
    data_for,
    distance,
    network_for,
    optimizer_for,
    pair,
    parameters,
    same_bits,
    targets_for,
    train,
)
from test_gradient import check as check_differences
from twin import TwinNetwork

from fastmlp.engine import ISAS, LOSS_OPTIONS, LOSS_ROWS, LOSSES, Network, Predictor, forward
from fastmlp.engine.kernels import DEFAULT_ISA

CLOSE = {np.float32: 2e-5, np.float64: 5e-14}
NEW = [loss for loss in LOSSES if loss not in ("squared_error", "poisson", "binary_log_loss")]
# narrow and wide rows of outputs: one group of lanes and parts of it, the last that is turned, the first that is not
WIDTHS = [1, 2, 3, 7, 16, 17, 31, 32, 33, 65, 130]

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_loss = pytest.mark.parametrize("loss", LOSSES)
every_option = pytest.mark.parametrize(
    "loss, options",
    CHECKED_OPTIONS,
    ids=lambda case: case if isinstance(case, str) else "-".join(map(str, case.values())),
)


def losses_and_slopes(loss, Z, y, options=None, isa=None, weight=None, kind=Network):
    """Loss of each row of outputs Z, which come from an identity matrix of weights, and dL/dZ."""
    n = Z.shape[1]
    network = kind((n, n), "identity", loss, Z.dtype, loss_options=options, isa=isa)
    network.coefs[0][:] = np.eye(n)
    network.bind(Z, y, weight)
    losses, slopes = np.empty(len(Z)), np.empty(Z.shape)
    for i in range(len(Z)):
        losses[i], _, intercept_grads = network.loss_and_grad(np.array([i]))
        slopes[i] = intercept_grads[0]
    return losses, slopes


def outputs_and_targets(loss, n_rows, n_outputs, dtype, seed=0, scale=2.0):
    rng = np.random.default_rng(seed)
    Z = (scale * rng.standard_normal((n_rows, n_outputs))).astype(dtype)
    return Z, targets_for(loss, n_rows, n_outputs, dtype, rng)


# ---- against the twin ----


@every_isa
@every_dtype
@every_loss
@pytest.mark.parametrize("width", WIDTHS)
def test_widths(width, loss, dtype, isa):
    Z, y = outputs_and_targets(loss, 37, width, dtype)
    weight = np.random.default_rng(1).choice([0.5, 1.0, 3.0], size=37)
    gradients = []
    for kind, arguments in ((Network, {"isa": isa}), (TwinNetwork, {})):
        network = kind((width, width), "identity", loss, dtype, **arguments)
        network.coefs[0][:] = np.eye(width)
        network.bind(Z, y, weight)
        value, coef_grads, intercept_grads = network.loss_and_grad()
        gradients.append([np.array(value), *copies(coef_grads + intercept_grads)])
    assert distance(*gradients) < CLOSE[dtype] or loss in ("hinge", "focal") and width == 1
    if loss in ("hinge", "focal") and width == 1:
        assert not any(np.any(array) for array in gradients[0])  # one class: nothing to be wrong about


@every_isa
@every_dtype
@every_option
@pytest.mark.parametrize("n_outputs", [3, 40])
def test_options(n_outputs, loss, options, dtype, isa):
    network, expected = pair((9, 12, n_outputs), "tanh", loss, dtype, 60, weights=True, isa=isa, loss_options=options)
    for alpha in (0.0, 0.1):
        value, coef_grads, intercept_grads = network.loss_and_grad(alpha=alpha)
        true_value, true_coef_grads, true_intercept_grads = expected.loss_and_grad(alpha=alpha)
        np.testing.assert_allclose(value, true_value, rtol=CLOSE[dtype])
        assert distance(coef_grads + intercept_grads, true_coef_grads + true_intercept_grads) < CLOSE[dtype]
    X, y, weight = data_for((9, 12, n_outputs), loss, 33, dtype, weights=True, seed=4)
    np.testing.assert_allclose(
        network.evaluate(X, y, weight), expected.evaluate(X, y, weight), rtol=CLOSE[dtype], atol=CLOSE[dtype]
    )


@every_option
@pytest.mark.parametrize("n_outputs", [3, 34])
def test_gradients_with_options(n_outputs, loss, options):
    check_differences(bound((3, n_outputs), "tanh", loss, np.float64, 5, weights=True, loss_options=options), 0.5)


def test_a_quantile_for_each_output():
    levels = (0.1, 0.5, 0.9)
    Z, y = outputs_and_targets("quantile", 20, 3, np.float64)
    losses, slopes = losses_and_slopes("quantile", Z, y, {"quantiles": levels})
    for j, level in enumerate(levels):
        column = Z[:, j : j + 1].copy(), y[:, j : j + 1].copy()
        expected, slope = losses_and_slopes("quantile", *column, {"quantiles": (level,)})
        np.testing.assert_array_equal(slopes[:, j], slope[:, 0])
        losses -= expected
    np.testing.assert_allclose(losses, 0, atol=1e-14)
    # of many outputs, each in a column of its own
    levels = tuple(np.random.default_rng(0).uniform(0.01, 0.99, 65))
    network, expected = pair((4, 65), "tanh", "quantile", np.float32, 20, loss_options={"quantiles": levels})
    assert distance(network.loss_and_grad()[2], expected.loss_and_grad()[2]) < 2e-5


# ---- against other libraries and closed forms ----

SKLEARN = {
    "absolute_error": lambda o: sklearn_loss.AbsoluteError(),
    "quantile": lambda o: sklearn_loss.PinballLoss(quantile=o["quantiles"][0]),
    "gamma": lambda o: sklearn_loss.HalfGammaLoss(),
    "tweedie": lambda o: sklearn_loss.HalfTweedieLoss(power=o["tweedie_power"]),
    "soft_binary_log_loss": lambda o: sklearn_loss.HalfBinomialLoss(),
}


@every_isa
@pytest.mark.parametrize(
    "loss, options",
    [
        ("absolute_error", None),
        ("gamma", None),
        ("soft_binary_log_loss", None),
        *(("quantile", {"quantiles": (q,)}) for q in (0.01, 0.5, 0.9)),
        *(("tweedie", {"tweedie_power": k}) for k in (1.01, 1.5, 1.9)),
    ],
)
def test_scikit_learn_has_the_same_values_and_slopes(loss, options, isa):
    theirs = SKLEARN[loss](options)
    Z, y = outputs_and_targets(loss, 200, 1, np.float64)
    if loss == "tweedie":
        assert (y == 0).any()
    losses, slopes = losses_and_slopes(loss, Z, y, options, isa)
    target = y[:, 0].astype(float)
    expected, gradient = theirs.loss_gradient(target, Z[:, 0].copy())
    np.testing.assert_allclose(losses, expected + theirs.constant_to_optimal_zero(target), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slopes[:, 0], gradient, rtol=1e-13, atol=1e-15)


def test_metrics_of_scikit_learn():
    Z, y = outputs_and_targets("hinge", 300, 5, np.float64)
    weight = np.random.default_rng(1).uniform(0, 2, 300)
    network = network_for((5, 5), "identity", "hinge", np.float64)
    network.coefs[0][:], network.intercepts[0][:] = np.eye(5), 0
    expected = sklearn.metrics.hinge_loss(y, Z, labels=range(5), sample_weight=weight)
    np.testing.assert_allclose(network.evaluate(Z, y, weight), expected, rtol=1e-13)
    Z, y = outputs_and_targets("binary_hinge", 300, 1, np.float64)
    losses, _ = losses_and_slopes("binary_hinge", Z, y)
    np.testing.assert_allclose(losses.mean(), sklearn.metrics.hinge_loss(y[:, 0], Z[:, 0]), rtol=1e-13)
    for power in (1.1, 1.5, 1.9):
        Z, y = outputs_and_targets("tweedie", 300, 2, np.float64)
        losses, _ = losses_and_slopes("tweedie", Z, y, {"tweedie_power": power})
        expected = sklearn.metrics.mean_tweedie_deviance(y.ravel(), np.exp(Z).ravel(), power=power)
        np.testing.assert_allclose(losses.mean(), expected, rtol=1e-12)  # two outputs, half of the deviance of each
    Z, y = outputs_and_targets("gamma", 300, 2, np.float64)
    losses, _ = losses_and_slopes("gamma", Z, y)
    expected = sklearn.metrics.mean_gamma_deviance(y.ravel(), np.exp(Z).ravel())
    np.testing.assert_allclose(losses.mean(), expected, rtol=1e-12)


@pytest.mark.parametrize("delta", [0.01, 1.0, 30.0])
def test_huber_of_scipy(delta):
    Z, y = outputs_and_targets("huber", 100, 4, np.float64)
    losses, slopes = losses_and_slopes("huber", Z, y, {"huber_delta": delta})
    np.testing.assert_allclose(losses, scipy.special.huber(delta, Z - y).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(slopes, np.clip(Z - y, -delta, delta), rtol=1e-15)


def torch_focal(torch, log_p, gamma):
    return -((1 - log_p.exp()) ** gamma) * log_p


@pytest.mark.parametrize("width", [1, 2, 5, 33])
@pytest.mark.parametrize(
    "loss, options",
    [
        ("huber", {"huber_delta": 0.7}),
        ("log_loss", {"label_smoothing": 0.0}),
        ("log_loss", {"label_smoothing": 0.1}),
        ("log_loss", {"label_smoothing": 0.9}),
        ("soft_binary_log_loss", {"label_smoothing": 0.3}),
        ("focal", {"focal_gamma": 0.5}),
        ("focal", {"focal_gamma": 2.0}),
        ("binary_focal", {"focal_gamma": 1.7}),
    ],
)
def test_torch_has_the_same_values_and_slopes(loss, options, width):
    torch = pytest.importorskip("torch")
    if loss == "focal" and width == 1:
        width = 3
    Z, y = outputs_and_targets(loss, 30, width, np.float64)
    z = torch.tensor(Z, requires_grad=True)
    target = torch.from_numpy(y)
    if loss == "huber":
        values = torch.nn.functional.huber_loss(z, target, delta=0.7, reduction="none").sum(dim=1)
    elif loss == "log_loss":
        values = torch.nn.functional.cross_entropy(z, target, reduction="none", **options)
    elif loss == "soft_binary_log_loss":
        soft = target.double() * 0.7 + 0.15
        values = torch.nn.functional.binary_cross_entropy_with_logits(z, soft, reduction="none").sum(dim=1)
    elif loss == "focal":
        log_p = torch.log_softmax(z, dim=1)[torch.arange(30), target]
        values = torch_focal(torch, log_p, options["focal_gamma"])
    else:
        log_p = torch.nn.functional.logsigmoid(torch.where(target > 0, z, -z))
        values = torch_focal(torch, log_p, options["focal_gamma"]).sum(dim=1)
    values.sum().backward()
    losses, slopes = losses_and_slopes(loss, Z, y, options)
    np.testing.assert_allclose(losses, values.detach().numpy(), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(slopes, z.grad.numpy(), rtol=1e-10, atol=1e-13)


@every_isa
@every_dtype
def test_log_cosh_of_tiny_and_huge_residuals(dtype, isa):
    scales = np.geomspace(1e-18, 1e30, 120)
    Z = np.concatenate([scales, -scales, [0.0, 1.0, -1.0, 0.9999999, 1.0000001]]).astype(dtype)[:, None]
    losses, slopes = losses_and_slopes("log_cosh", Z, np.zeros_like(Z), isa=isa)
    with mpmath.workprec(200):
        expected, slope = [], []
        for z in Z[:, 0]:
            a = abs(mpmath.mpf(float(z)))
            # log(cosh(a)) = a + log(1 + exp(-2 a)) - log(2), whose last two terms nothing is left of far out
            far = a > 1000
            expected.append(float(a - mpmath.log(2) if far else mpmath.log(mpmath.cosh(a))))
            slope.append(float(mpmath.sign(float(z)) if far else mpmath.tanh(mpmath.mpf(float(z)))))
    rtol = 20 * np.finfo(dtype).eps
    tiny = np.finfo(dtype).tiny
    np.testing.assert_allclose(losses, expected, rtol=rtol, atol=tiny)
    np.testing.assert_allclose(slopes[:, 0], slope, rtol=rtol)


@every_isa
@every_dtype
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("n_classes", [2, 40])
def test_focal_loss_near_probabilities_of_0_and_1(n_classes, gamma, dtype, isa):
    extreme = 1e4 if dtype == np.float64 else 100.0
    z = np.array([-extreme, -50, -17, -3, -0.9, 0.0, 0.9, 3, 17, 50, extreme], dtype=dtype)
    y = np.zeros(len(z), dtype=np.intp)
    Z = np.zeros((len(z), n_classes), dtype=dtype)
    Z[:, 0] = z
    rtol = 100 * np.finfo(dtype).eps * max(1, gamma * 4)
    with mpmath.workprec(150):
        expected, slope = [], []
        for value in z:
            own = mpmath.exp(mpmath.mpf(float(value)))
            p, wrong = own / (own + n_classes - 1), (n_classes - 1) / (own + n_classes - 1)
            power = wrong ** mpmath.mpf(gamma)
            log_p = -mpmath.log1p((n_classes - 1) / own)
            expected.append(float(-power * log_p))
            slope.append(float(-power * (wrong - gamma * p * log_p)))
    # smaller than this, factors have underflowed
    atol = np.finfo(dtype).tiny * 1e8 if gamma < 2 else np.sqrt(np.finfo(dtype).tiny)
    losses, slopes = losses_and_slopes("focal", Z, y, {"focal_gamma": gamma}, isa)
    np.testing.assert_allclose(losses, expected, rtol=rtol, atol=atol)
    np.testing.assert_allclose(slopes[:, 0], slope, rtol=rtol, atol=atol)
    np.testing.assert_allclose(slopes[:, 1:].sum(axis=1), np.negative(slope), rtol=rtol, atol=atol)
    if n_classes == 2:
        target = np.ones((len(z), 1), dtype=np.uint8)
        for sign, bit in ((1, target), (-1, 1 - target)):
            losses, slopes = losses_and_slopes("binary_focal", sign * z[:, None], bit, {"focal_gamma": gamma}, isa)
            np.testing.assert_allclose(losses, expected, rtol=rtol, atol=atol)
            np.testing.assert_allclose(sign * slopes[:, 0], slope, rtol=rtol, atol=atol)


@every_dtype
@pytest.mark.parametrize("width", [2, 10, 40])
def test_focal_loss_without_gamma_is_the_log_loss(width, dtype):
    Z, y = outputs_and_targets("focal", 50, width, dtype)
    results = [losses_and_slopes("focal", Z, y, {"focal_gamma": 0.0}), losses_and_slopes("log_loss", Z, y)]
    assert distance(*results) < 4 * np.finfo(dtype).eps * 4
    y = np.random.default_rng(0).integers(2, size=Z.shape, dtype=np.uint8)
    results = [
        losses_and_slopes(*case)
        for case in (
            ("binary_focal", Z, y, {"focal_gamma": 0.0}),
            ("soft_binary_log_loss", Z, y),
            ("binary_log_loss", Z, y),
        )
    ]
    assert distance(results[0], results[1]) < 16 * np.finfo(dtype).eps
    assert distance(results[0], results[2]) < 64 * np.finfo(dtype).eps


@every_dtype
@pytest.mark.parametrize("loss, plain", [("log_loss", "log_loss"), ("soft_binary_log_loss", "binary_log_loss")])
def test_smoothed_labels_are_targets_of_mixed_classes(loss, plain, dtype):
    # the smoothed loss is (1 - s) that of the label and s the mean of that of all labels
    Z, y = outputs_and_targets(loss, 20, 4, dtype)
    s = 0.2
    smoothed = losses_and_slopes(loss, Z, y, {"label_smoothing": s})
    own = losses_and_slopes(plain, Z, y)
    if loss == "log_loss":
        others = [losses_and_slopes(plain, Z, np.full_like(y, k)) for k in range(4)]
    else:
        others = [losses_and_slopes(plain, Z, np.full_like(y, bit)) for bit in (0, 1)]
    for i in range(2):
        expected = (1 - s) * own[i] + s * np.mean([other[i] for other in others], axis=0)
        np.testing.assert_allclose(smoothed[i], expected, rtol=100 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)


# ---- kinks and extremes ----


@every_isa
@every_dtype
def test_slopes_at_kinks(dtype, isa):
    for width in (3, 40):
        y = np.arange(2 * width).reshape(2, width).astype(dtype)
        for loss in ("absolute_error", "quantile", "huber", "log_cosh"):
            losses, slopes = losses_and_slopes(loss, y, y, isa=isa)
            assert not losses.any() and not slopes.any()
        for sign in (1, -1):
            _, slopes = losses_and_slopes("huber", y + sign, y, isa=isa)
            np.testing.assert_array_equal(slopes, sign)
            _, slopes = losses_and_slopes("absolute_error", y + sign * dtype(2), y, isa=isa)
            np.testing.assert_array_equal(slopes, sign)
        bits = np.ones((2, width), dtype=np.uint8)
        losses, slopes = losses_and_slopes("binary_hinge", bits.astype(dtype), bits, isa=isa)
        assert not losses.any() and not slopes.any()


@every_isa
@every_dtype
@pytest.mark.parametrize("width", [5, 40])
def test_hinge_takes_the_first_of_the_largest(width, dtype, isa):
    Z = np.zeros((4, width), dtype=dtype)
    Z[0, [2, width - 1]] = 3.0  # two largest
    Z[1] = 1.0  # all the same
    Z[2, 3] = 1.0  # the margin exactly kept
    Z[3, 0] = -1e4 if dtype == np.float64 else -100.0
    y = np.array([1, 0, 3, 0])
    losses, slopes = losses_and_slopes("hinge", Z, y, isa=isa)
    expected = np.zeros_like(Z)
    expected[0, [1, 2]] = -1, 1
    expected[1, [0, 1]] = -1, 1
    expected[3, [0, 1]] = -1, 1
    np.testing.assert_array_equal(slopes, expected)
    np.testing.assert_array_equal(losses, [4.0, 1.0, 0.0, 1.0 - Z[3, 0]])


@every_isa
@every_dtype
@every_loss
@pytest.mark.parametrize("width", [2, 40])
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def test_extreme_outputs(width, loss, dtype, isa):
    extreme = 1e4 if dtype == np.float64 else 100.0
    rng = np.random.default_rng(0)
    Z = rng.choice([-extreme, 0.0, extreme], size=(40, width)).astype(dtype)
    y = targets_for(loss, 40, width, dtype, rng)
    options = {"label_smoothing": 0.1} if "label_smoothing" in LOSS_ROWS[loss].options else None
    losses, slopes = losses_and_slopes(loss, Z, y, options, isa)
    true_losses, true_slopes = losses_and_slopes(loss, Z, y, options, kind=TwinNetwork)
    if LOSSES[loss] == "exp":
        # infinite where exp is, in the network's precision and not in the twin's, but never NaN
        assert not np.isnan(losses).any() and not np.isnan(slopes).any()
        finite = np.abs(true_slopes) < 1e-3 * float(np.finfo(dtype).max)
        assert finite.any()
        np.testing.assert_allclose(slopes[finite], true_slopes[finite], rtol=20 * CLOSE[dtype], atol=1e-35)
        assert np.isinf(slopes[np.abs(true_slopes) > float(np.finfo(dtype).max)]).all()
        return
    np.testing.assert_allclose(losses, true_losses, rtol=CLOSE[dtype], atol=1e-30)
    np.testing.assert_allclose(slopes, true_slopes, rtol=CLOSE[dtype], atol=1e-30)


@every_isa
@every_dtype
@every_loss
@pytest.mark.parametrize("width", [4, 40])
@pytest.mark.parametrize("column", [0, 1, 3])
def test_one_output_that_is_not_a_number(column, width, loss, dtype, isa):
    Z, y = outputs_and_targets(loss, 3, width, dtype)
    if LOSS_ROWS[loss].target == "code":
        y[:] = 1
    Z[1, column] = np.nan
    network = network_for((width, width), "identity", loss, dtype, isa=isa)
    network.coefs[0][:] = 0
    network.intercepts[0][:] = Z[1]
    network.bind(Z[:1], y[1:2])
    value, _, intercept_grads = network.loss_and_grad()
    assert np.isnan(value) and np.isnan(intercept_grads[0][column])


# ---- options ----


@pytest.mark.parametrize(
    "loss, options, match",
    [
        ("log_loss", {"smoothing": 0.1}, "unknown loss option 'smoothing': one of .*'label_smoothing'"),
        ("log_loss", {"label_smoothing": 1.0}, r"label_smoothing=1.0: a number in \[0, 1\)"),
        ("log_loss", {"label_smoothing": -0.1}, r"label_smoothing=-0.1: a number in \[0, 1\)"),
        ("log_loss", {"label_smoothing": "much"}, r"label_smoothing='much': a number in"),
        ("log_loss", {"label_smoothing": None}, r"label_smoothing=None: a number in"),
        ("focal", {"focal_gamma": -1}, r"focal_gamma=-1: a number in \[0, inf\)"),
        ("focal", {"focal_gamma": np.inf}, r"focal_gamma=inf: a number in \[0, inf\)"),
        ("huber", {"huber_delta": 0}, r"huber_delta=0: a number in \(0, inf\)"),
        ("huber", {"huber_delta": np.nan}, r"huber_delta=nan: a number in"),
        ("tweedie", {"tweedie_power": 1}, r"tweedie_power=1: a number in \(1, 2\)"),
        ("tweedie", {"tweedie_power": 2.0}, r"tweedie_power=2.0: a number in \(1, 2\)"),
        ("quantile", {"quantiles": 0.5}, r"quantiles=0.5: a sequence of numbers in \(0, 1\)"),
        ("quantile", {"quantiles": ()}, r"quantiles=\(\): a sequence"),
        ("quantile", {"quantiles": (0.5, 1.0)}, r"quantiles=\(0.5, 1.0\): a sequence of numbers in \(0, 1\)"),
        ("quantile", {"quantiles": (0.1, 0.5, 0.9)}, r"quantiles=.*0.9\): one, or one for each of the 2 outputs"),
        ("focal", {"label_smoothing": 0.1}, "label_smoothing=0.1: the loss 'focal' has no such option"),
        ("squared_error", {"huber_delta": 2.0}, "huber_delta=2.0: the loss 'squared_error' has no such option"),
        ("huber", {"quantiles": (0.1,)}, "quantiles=.*: the loss 'huber' has no such option"),
        ("focal", {"segments": (1, 1)}, r"segments=\(1, 1\): the loss 'focal' has no such option"),
        ("binary_log_loss", {"segments": (2,)}, r"segments=\(2,\): the loss 'binary_log_loss' has no such option"),
        ("log_loss", {"segments": (1, 2)}, r"segments=\(1, 2\): positive integers that add up to the 2 outputs"),
        ("log_loss", {"segments": (2, 0)}, r"segments=\(2, 0\): positive integers"),
        ("log_loss", {"segments": (3, -1)}, r"segments=\(3, -1\): positive integers"),
        ("log_loss", {"segments": (1.0, 1.0)}, r"segments=\(1.0, 1.0\): positive integers"),
        ("log_loss", {"segments": ()}, r"segments=\(\): positive integers"),
    ],
)
def test_options_that_are_refused(loss, options, match):
    with pytest.raises(ValueError, match=match):
        Network((4, 3, 2), "tanh", loss, np.float64, loss_options=options)


@every_dtype
@every_loss
def test_the_defaults_may_be_given(loss, dtype):
    defaults = {name: option.default for name, option in LOSS_OPTIONS.items()}
    defaults |= {"quantiles": (defaults["quantiles"],), "segments": None}
    networks = [bound((5, 4, 3), "tanh", loss, dtype, 20, loss_options=o) for o in (None, {}, defaults)]
    gradients = []
    for network in networks:
        value, coef_grads, intercept_grads = network.loss_and_grad()
        gradients.append([np.array(value), *copies(coef_grads + intercept_grads)])
    assert same_bits(gradients[0], gradients[1]) and same_bits(gradients[0], gradients[2])


def test_every_option_is_tested_and_taken_by_a_loss():
    taken = {(loss, name) for loss, row in LOSS_ROWS.items() for name in row.options if name != "segments"}
    assert taken == {(loss, name) for loss, options in CHECKED_OPTIONS for name in options}
    assert set(LOSS_OPTIONS) == {name for _, name in taken}
    assert [loss for loss, row in LOSS_ROWS.items() if "segments" in row.options] == ["log_loss"]


# ---- segments ----

SEGMENTS = [(3, 2, 5), (1, 1), (1, 4), (2, 31), (16, 16), (33, 7), (5, 70, 1, 9), (1,) * 20, (6,)]
every_segments = pytest.mark.parametrize("segments", SEGMENTS, ids=lambda s: "-".join(map(str, s)))


def segmented(segments, dtype, n_rows, *, smoothing=0.0, **kwargs):
    options = {"segments": segments, "label_smoothing": smoothing}
    return ((6, 8, sum(segments)), "tanh", "log_loss", dtype, n_rows), {"loss_options": options, **kwargs}


@every_isa
@every_dtype
@every_segments
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("n_rows", [1, 37])
def test_segments(n_rows, smoothing, segments, dtype, isa):
    args, kwargs = segmented(segments, dtype, n_rows, smoothing=smoothing)
    network, expected = pair(*args, weights=n_rows > 1, isa=isa, **kwargs)
    assert network.segments == segments
    value, coef_grads, intercept_grads = network.loss_and_grad(alpha=0.1)
    true_value, true_coef_grads, true_intercept_grads = expected.loss_and_grad(alpha=0.1)
    np.testing.assert_allclose(value, true_value, rtol=CLOSE[dtype])
    assert distance(coef_grads + intercept_grads, true_coef_grads + true_intercept_grads) < CLOSE[dtype]
    losses = [train(net, optimizer_for(net, "adam"), 16) for net in (network, expected)]
    np.testing.assert_allclose(*losses, rtol=CLOSE[dtype])
    X, y, weight = data_for(args[0], "log_loss", 300, dtype, weights=True, seed=3, segments=segments)
    predicted = network.predict(X)
    assert distance([predicted], [expected.predict(X)]) < CLOSE[dtype]
    for block in np.split(predicted, np.cumsum(segments)[:-1], axis=1):
        np.testing.assert_allclose(block.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(network.evaluate(X, y, weight), expected.evaluate(X, y, weight), rtol=CLOSE[dtype])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("segments", [(3, 2, 5), (30, 7)])
def test_gradients_of_segments(segments, smoothing):
    args, kwargs = segmented(segments, np.float64, 7, smoothing=smoothing)
    check_differences(bound(*args, weights=True, **kwargs), 0.5)


@every_dtype
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_segment_is_none(smoothing, dtype):
    args, kwargs = segmented((6,), dtype, 40, smoothing=smoothing)
    network = bound(*args, **kwargs)
    X, y, _ = data_for(args[0], "log_loss", 40, dtype, segments=(6,))
    other = network_for(*args[:-1], loss_options={"label_smoothing": smoothing})
    other.bind(X, y[:, 0].copy())
    for net in (network, other):
        train(net, optimizer_for(net, "adam"), 16)
    assert same_bits([*parameters(network), network.predict(X)], [*parameters(other), other.predict(X)])


@every_dtype
@pytest.mark.parametrize("segments", [(3, 2, 5), (40, 3)])
def test_segments_agree_on_any_team_and_instruction_set(segments, dtype):
    args, kwargs = segmented(segments, dtype, 150)
    results = []
    for arguments in [{"n_threads": n, "isa": ISAS[0]} for n in (1, 2, 3)] + [
        {"isa": isa} for isa in ISAS if isa != "baseline"
    ]:
        network = bound(*args, weights=True, **kwargs, **arguments)
        losses = train(network, optimizer_for(network, "adam"), 64)
        X, y, weight = data_for(args[0], "log_loss", 90, dtype, weights=True, segments=segments)
        results.append([*parameters(network), np.array([*losses, network.evaluate(X, y, weight)]), network.predict(X)])
    assert all(same_bits(result, results[0]) for result in results)


@every_isa
@every_dtype
def test_segments_of_plain_arrays(dtype, isa):
    segments = (3, 4, 30)
    network = network_for((5, 9, 37), "relu", "log_loss", dtype, loss_options={"segments": segments}, isa=isa)
    X, _, _ = data_for((5, 9, 37), "log_loss", 600, dtype, segments=segments)
    arguments = network.coefs, network.intercepts, "relu", "softmax"
    predictor = Predictor(*arguments, segments=segments, isa=isa)
    assert predictor.segments == segments and Predictor(*arguments).segments is None
    expected = network.predict(X)
    for n_threads in (1, 2, 3):
        assert same_bits([forward(*arguments, X, segments=segments, n_threads=n_threads, isa=isa)], [expected])
    rows = np.array([5, 3])
    assert same_bits([predictor(X), predictor.quick(X), predictor(X, rows)], [expected, expected, expected[rows]])
    assert predictor.serves(*arguments, segments)
    assert not predictor.serves(*arguments) and not predictor.serves(*arguments, (7, 30))
    outputs = forward(*arguments[:3], "identity", X, isa=isa).astype(np.float64)
    softmax = np.hstack([scipy.special.softmax(b, axis=1) for b in np.split(outputs, [3, 7], axis=1)])
    np.testing.assert_allclose(expected, softmax, rtol=30 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    "segments, output, match",
    [
        ((2, 2), "softmax", r"segments=\(2, 2\): positive integers that add up to the 3 outputs"),
        ((1, 2), "logistic", r"segments=\(1, 2\): only outputs with softmax have them, not logistic"),
    ],
)
def test_segments_that_a_predictor_refuses(segments, output, match):
    arrays = [np.ones((4, 3))], [np.ones(3)]
    for call in (
        lambda: Predictor(*arrays, "relu", output, segments=segments),
        lambda: forward(*arrays, "relu", output, np.ones((2, 4)), segments=segments),
    ):
        with pytest.raises(ValueError, match=match):
            call()


@pytest.mark.parametrize(
    "y, match",
    [
        (np.zeros(5, dtype=np.intp), r"y: shape \(5, 2\)"),
        (np.zeros((5, 3), dtype=np.intp), r"y: shape \(5, 2\)"),
        (np.array([[0, 2]] * 5), "y: codes from 0 to 1, got 2 to 2"),
        (np.array([[-1, 0]] * 5), "y: codes from 0 to 2, got -1 to -1"),
        (np.zeros((2, 5), dtype=np.intp).T, "C-contiguous"),
    ],
)
def test_targets_that_segments_refuse(y, match):
    network = Network((4, 5), "relu", "log_loss", np.float64, loss_options={"segments": (3, 2)})
    with pytest.raises((ValueError, BufferError), match=match):
        network.bind(np.ones((5, 4)), y)


@pytest.mark.parametrize("power", [1 + 1e-6, 1.0001, 1.01, 1.99, 1.9999, 2 - 1e-6])
@every_dtype
def test_tweedie_keeps_its_digits_near_poisson_and_gamma(power, dtype):
    Z, y = outputs_and_targets("tweedie", 200, 2, dtype)
    losses, _ = losses_and_slopes("tweedie", Z, y, {"tweedie_power": power})
    k = mpmath.mpf(float(dtype(power)))
    with mpmath.workprec(200):
        expected = [
            sum(
                mpmath.mpf(t) ** (2 - k) / ((1 - k) * (2 - k))
                - t * mpmath.exp((1 - k) * z) / (1 - k)
                + mpmath.exp((2 - k) * z) / (2 - k)
                for t, z in zip(map(float, targets), map(float, outputs), strict=True)
            )
            for targets, outputs in zip(y, Z, strict=True)
        ]
    np.testing.assert_allclose(losses, np.array(expected, dtype=float), rtol=100 * np.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize(
    "loss, options",
    [("tweedie", {"tweedie_power": 1 + 1e-9}), ("focal", {"focal_gamma": 1e39}), ("huber", {"huber_delta": 1e-60})],
)
def test_numbers_that_leave_their_range_in_float32_are_refused(loss, options):
    Network((2, 3), "relu", loss, np.float64, loss_options=options)
    with pytest.raises(ValueError, match=next(iter(options))):
        Network((2, 3), "relu", loss, np.float32, loss_options=options)


# ---- the loss of other data ----


@every_isa
@every_dtype
@every_loss
@pytest.mark.parametrize("x_dtype", DTYPES, ids=lambda dtype: "X-" + dtype.__name__)
def test_evaluate(x_dtype, loss, dtype, isa):
    # kinds of data in turn over the losses, with and without weights
    i = list(LOSSES).index(loss)
    sparse, weights = [None, np.int32, np.int64][i % 3], i % 2 == 0
    network, expected = pair((14, 20, 5), "tanh", loss, dtype, 30, isa=isa)
    data = data_for((14, 20, 5), loss, 301, dtype, x_dtype=x_dtype, weights=weights, sparse=sparse, seed=7)
    value = network.evaluate(*data)
    assert isinstance(value, float)
    np.testing.assert_allclose(value, expected.evaluate(*data), rtol=CLOSE[dtype])


@every_dtype
@pytest.mark.parametrize("n_rows", [1, 31, 257, 3000])
def test_evaluate_gives_the_loss_of_training(n_rows, dtype):
    layer_units = (14, 40, 3)
    data = data_for(layer_units, "log_loss", n_rows, dtype, weights=n_rows > 1)
    network = network_for(layer_units, "relu", "log_loss", dtype)
    value = network.evaluate(*data)
    network.bind(*data)
    # with portable kernels these layers are BLAS's, which adds in another order for another number of rows
    rtol = CLOSE[dtype] if DEFAULT_ISA == "baseline" else 1e-15
    np.testing.assert_allclose(value, network.loss_and_grad()[0], rtol=rtol)


@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])
@pytest.mark.parametrize("layer_units", [(20, 40, 3), (64, 200, 10), (4096, 2048, 3)], ids=["small", "large", "blas"])
def test_evaluate_gives_the_same_bits_for_any_team(layer_units, sparse, dtype):
    data = data_for(layer_units, "log_loss", 600, dtype, sparse=sparse, weights=True)
    values = {network_for(layer_units, "relu", "log_loss", dtype, n_threads=n).evaluate(*data) for n in (1, 2, 3, None)}
    assert len(values) == 1


@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["train-dense", "train-csr"])
@pytest.mark.parametrize("other", [None, np.int64], ids=["evaluate-dense", "evaluate-csr"])
def test_training_goes_on_as_if_nothing_had_been_evaluated(other, sparse, dtype):
    layer_units = (12, 20, 3)
    results = []
    for evaluates in (False, True):
        network = bound(layer_units, "tanh", "log_loss", dtype, 150, sparse=sparse, weights=True)
        optimizer = optimizer_for(network, "adam")
        data = data_for(layer_units, "log_loss", 333, dtype, x_dtype=np.float64, sparse=other, weights=True, seed=9)
        losses, values = [], []
        for _ in range(3):
            if evaluates:
                values.append(network.evaluate(*data))
            losses.append(network.epoch(None, 32, optimizer, 0.01))
        results.append([np.array(losses), *parameters(network), *copies(optimizer.state)])
    assert same_bits(*results)
    assert len(set(values)) == 3


@every_dtype
@pytest.mark.parametrize("activation", [("gelu", "tanh"), ("relu", "mish")])
def test_evaluate_has_no_dropout(activation, dtype):
    network, expected = pair((12, 20, 9, 3), activation, "log_loss", dtype, 50, dropout=(0.2, 0.5, 0.5))
    for sparse in (None, np.int32):
        data = data_for((12, 20, 9, 3), "log_loss", 70, dtype, weights=True, sparse=sparse)
        np.testing.assert_allclose(network.evaluate(*data), expected.evaluate(*data), rtol=CLOSE[dtype])


def test_evaluate_needs_no_bound_data():
    X, y, _ = data_for((4, 3, 2), "log_loss", 20, np.float64)
    network = network_for((4, 3, 2), "tanh", "log_loss", np.float64)
    value = network.evaluate(X, y)
    network.bind(X, y)
    assert network.evaluate(X, y) == value
    network.release()
    assert network.evaluate(X, y) == value


def test_evaluate_takes_no_row_without_weight():
    X, y, _ = data_for((4, 3, 2), "log_loss", 20, np.float64)
    network = network_for((4, 3, 2), "tanh", "log_loss", np.float64)
    weight = (np.arange(20) < 7).astype(float)
    np.testing.assert_allclose(network.evaluate(X, y, weight), network.evaluate(X[:7], y[:7]), rtol=1e-14)


X, Y, WEIGHT = data_for((4, 3, 2), "log_loss", 20, np.float64, weights=True)


@pytest.mark.parametrize(
    "data, match",
    [
        ((X[:, :3].copy(), Y), "X has 3 features, the network 4"),
        ((X.ravel(), Y), "X: a two-dimensional array"),
        ((np.asfortranarray(X), Y), "C-contiguous"),
        ((X, Y[:-1]), "y: shape"),
        ((X, np.full(20, 2)), "y: codes from 0 to 1"),
        ((X, Y, WEIGHT[:-1]), "sample_weight"),
        ((X, Y, np.zeros(20)), "sample_weight: all zero"),
        ((X[:0], Y[:0]), "no rows"),
        ((X[:0], Y[:0], WEIGHT[:0]), "no rows"),
    ],
)
def test_evaluate_refuses(data, match):
    network = network_for((4, 3, 2), "tanh", "log_loss", np.float64)
    with pytest.raises((ValueError, BufferError), match=match):
        network.evaluate(*data)
