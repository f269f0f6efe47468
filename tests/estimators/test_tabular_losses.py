"""The losses of TabularMLPRegressor: what they predict, and what decides the best epochs and the weights of recipes."""

import math
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import (
    d2_pinball_score,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_tweedie_deviance,
    r2_score,
)

from fastmlp import TabularMLPRegressor, load
from fastmlp.engine import LOSS_ROWS, Network
from fastmlp.engine.architecture import Dense, Inputs
from fastmlp.training.scores import NegativeLoss

SMALL = {"hidden_layer_sizes": (16,), "epochs": 20}
LEVELS = [0.9, 0.1, 0.5]


def table(n, seed=0):
    """Columns, and a mean of the targets that depends on them."""
    rng = np.random.default_rng(seed)
    x, kind = rng.uniform(-1, 1, n), rng.integers(3, size=n)
    return {"x": x, "kind": np.array(["a", "b", "c"])[kind]}, np.exp(1 + x + 0.5 * kind), rng


X, MEAN, RNG = table(300)
WEIGHTS = RNG.random(300) + 0.1
TARGETS = {
    "absolute_error": MEAN + RNG.standard_t(2, 300),
    "huber": MEAN + RNG.standard_t(2, 300),
    "log_cosh": MEAN + RNG.standard_t(2, 300),
    "quantile": MEAN * RNG.gamma(2, 1, 300),
    "poisson": RNG.poisson(MEAN).astype(float),
    "gamma": MEAN * RNG.gamma(2, 1, 300),
    "tweedie": MEAN * RNG.gamma(2, 1, 300) * (RNG.random(300) < 0.7),
}
OPTIONS = {"huber": {"huber_delta": 0.4}, "tweedie": {"tweedie_power": 1.3}, "quantile": {"quantile": 0.8}}


def fitted(loss, y=None, given=None, **params):
    params = {"n_members": 3, "random_state": 0, "recipe": SMALL, **OPTIONS.get(loss, {}), **params}
    return TabularMLPRegressor(loss=loss, **params).fit(X, TARGETS[loss] if y is None else y, **(given or {}))


def closed_form(loss, y, p, weights=None):
    """The loss of standardised targets and predictions, by scikit-learn where it has it."""
    if loss in ("huber", "log_cosh"):
        r = np.abs(y - p)
        losses = np.log(np.cosh(r)) if loss == "log_cosh" else np.where(r > 0.4, 0.4 * (r - 0.2), r**2 / 2)
        return np.average(losses, weights=weights)
    return {
        "absolute_error": lambda: mean_absolute_error(y, p, sample_weight=weights),
        "quantile": lambda: mean_pinball_loss(y, p, sample_weight=weights, alpha=0.8),
        "poisson": lambda: mean_poisson_deviance(y, p, sample_weight=weights) / 2,
        "gamma": lambda: mean_gamma_deviance(y, p, sample_weight=weights) / 2,
        "tweedie": lambda: mean_tweedie_deviance(y, p, sample_weight=weights, power=1.3) / 2,
    }[loss]()


def standardised(loss, y, values):
    """Values as the networks see them."""
    through_exponential = loss in ("poisson", "gamma", "tweedie")
    center, scale = (0, y.mean()) if through_exponential else (y.mean(), y.std())
    return (values - center) / scale


def test_every_loss_of_values_is_tried():
    assert TARGETS.keys() | {"squared_error"} == {name for name, row in LOSS_ROWS.items() if row.target == "real"}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("loss", TARGETS)
def test_score_is_the_loss(loss, weights):
    y = TARGETS[loss]
    model = fitted(loss, given={"sample_weight": weights})
    own = standardised(loss, y, y)
    predicted = standardised(loss, y, model.oof_prediction_)
    expected = closed_form(loss, own, predicted, weights)
    assert model.oof_score_ == pytest.approx(-expected, rel=1e-5)
    for member in model.members_:
        assert member.best_epoch_ == 20 - np.argmax(member.validation_scores_[::-1])
    # new rows are predicted better than by the best of all constants, though it knows them
    _, mean, rng = later = table(1000, seed=1)
    noise = {"poisson": rng.poisson, "tweedie": lambda m: m * rng.gamma(2, 1, len(m)) * (rng.random(len(m)) < 0.7)}
    if loss in ("quantile", "gamma"):
        noise[loss] = lambda m: m * rng.gamma(2, 1, len(m))
    new = noise.get(loss, lambda m: m + rng.standard_t(2, len(m)))(mean)
    own = standardised(loss, y, new)
    constants = np.quantile(own, np.linspace(0.05, 0.95, 91)) + 1e-9
    best = min(closed_form(loss, own, np.full(1000, constant)) for constant in [*constants, own.mean()])
    assert closed_form(loss, own, standardised(loss, y, model.predict(later[0]))) < best


@pytest.mark.parametrize("weights", [None, WEIGHTS[:50]], ids=["alike", "weighted"])
@pytest.mark.parametrize("loss", TARGETS)
def test_score_is_the_engines(loss, weights):
    options = {"quantile": {"quantiles": (0.1, 0.7)}, "huber": {"huber_delta": 0.4}, "tweedie": {"tweedie_power": 1.3}}
    options = options.get(loss, {})
    network = Network([Inputs(1), Dense(2)], None, loss, np.float64, loss_options=options)
    z = np.random.default_rng(0).normal(size=(50, 1))
    network.coefs[0][:], network.intercepts[0][:] = [[1.5, -0.7]], [0.3, 0.1]
    y = np.stack([TARGETS[loss][:50] / 5] * 2, axis=1)
    expected, outputs = network.evaluate(z, y, weights), network.predict(z)
    assert NegativeLoss(loss, options, y, weights)(outputs) == pytest.approx(-expected, rel=1e-9)


def test_outputs_that_are_rounded_to_zero():
    for loss, options in (("poisson", {}), ("tweedie", {"tweedie_power": 1.5})):
        p = np.zeros((2, 1), dtype=np.float32)
        assert NegativeLoss(loss, options, np.array([[0.0], [0.0]]), None)(p) == pytest.approx(0, abs=1e-15)
        assert -math.inf < NegativeLoss(loss, options, np.array([[0.0], [1.0]]), None)(p) < -40


def test_the_loss_weighs_recipes():
    seen = fitted("absolute_error", n_members=10, recipe={"hidden_layer_sizes": (4,), "epochs": 3})
    y = TARGETS["absolute_error"]
    expected = mean_absolute_error(y, seen.oof_prediction_) / y.std()
    assert seen.oof_score_ == pytest.approx(-expected, rel=1e-5)
    by_scorer = clone(seen).set_params(scoring="neg_mean_absolute_error").fit(X, y)
    assert [member.weight_ for member in by_scorer.members_] == [member.weight_ for member in seen.members_]
    np.testing.assert_array_equal(by_scorer.predict(X), seen.predict(X))


def test_squared_error_is_scored_by_r2():
    y = TARGETS["huber"]
    model = fitted("squared_error", y)
    assert model.oof_score_ == pytest.approx(r2_score(y, model.oof_prediction_))
    assert model.score(X, y) == r2_score(y, model.predict(X))


@pytest.mark.filterwarnings("ignore:The loss of a member became non-finite")
def test_diverging_members_keep_a_finite_epoch():
    # the rate of the first update is 0
    model = fitted("absolute_error", recipe={**SMALL, "batch_size": 1024, "learning_rate": 1e30})
    assert np.isfinite(model.predict(X)).all() and np.isfinite(model.oof_score_)
    assert max(member.best_epoch_ for member in model.members_) < 20


# ---- quantiles ----


@pytest.fixture(scope="module")
def quantiles():
    return fitted("quantile", quantile=LEVELS, sort_quantiles=True)


def test_quantiles_cover_their_share():
    rows, mean, rng = table(2000, seed=2)
    y = mean * rng.gamma(2, 1, 2000)
    recipe = {"hidden_layer_sizes": (32,), "epochs": 30}
    model = TabularMLPRegressor(3, loss="quantile", quantile=[0.1, 0.9], recipe=recipe, random_state=0).fit(rows, y)
    later, mean, rng = table(4000, seed=3)
    below = (mean * rng.gamma(2, 1, 4000))[:, None] <= model.predict(later)
    np.testing.assert_allclose(below.mean(axis=0), [0.1, 0.9], atol=0.03)


def test_several_quantiles(quantiles):
    y = TARGETS["quantile"]
    predicted = quantiles.predict(X)
    assert predicted.shape == quantiles.oof_prediction_.shape == (300, 3) and quantiles.n_outputs_ == 3
    assert (np.diff(predicted[:, [1, 2, 0]], axis=1) >= 0).all()
    assert (np.diff(quantiles.oof_prediction_[:, [1, 2, 0]], axis=1) >= 0).all()
    unsorted = clone(quantiles).set_params(sort_quantiles=False).fit(X, y)
    raw = unsorted.predict(X)
    np.testing.assert_array_equal(np.sort(raw, axis=1)[:, [2, 0, 1]], predicted)
    assert unsorted.oof_score_ == quantiles.oof_score_
    parts = zip(LEVELS, unsorted.oof_prediction_.T, strict=True)
    expected = sum(mean_pinball_loss(y, part, alpha=level) for level, part in parts) / y.std()
    assert unsorted.oof_score_ == pytest.approx(-expected, rel=1e-5)
    parts = zip(LEVELS, predicted.T, strict=True)
    assert quantiles.score(X, y) == np.mean([d2_pinball_score(y, part, alpha=level) for level, part in parts])
    assert quantiles.predict({"x": 0.2, "kind": "a"}).shape == (1, 3)


def test_levels_and_outputs():
    y = TARGETS["quantile"]
    one = fitted("quantile", quantile=np.float32(0.5))
    for other in (fitted("quantile", quantile=[0.5]), fitted("quantile", quantile=np.array([0.5]))):
        np.testing.assert_array_equal(other.predict(X), one.predict(X))
    assert one.predict(X).shape == (300,)
    both = fitted("quantile", np.stack([y, -y], axis=1), quantile=[0.5])
    assert both.predict(X).shape == (300, 2)
    given = fitted("quantile", quantile=LEVELS, given={"X_val": X, "y_val": y})
    assert given.predict(X).shape == (300, 3) and not hasattr(given, "oof_score_")


@pytest.mark.parametrize(
    "params, y, message",
    [
        ({"quantile": [0.5, 1.5]}, None, r"quantile=\[0.5, 1.5\] must have levels in \(0, 1\)"),
        ({"quantile": []}, None, r"must have levels in \(0, 1\)"),
        ({"quantile": 1.0}, None, "'quantile' parameter"),
        ({"quantile": LEVELS}, np.ones((300, 2)), "with several levels needs y of one output, not of 2"),
        ({"loss": "huber", "huber_delta": 0.0}, None, "'huber_delta' parameter"),
        ({"loss": "tweedie", "tweedie_power": 2.0}, None, "'tweedie_power' parameter"),
        ({"loss": "tweedie"}, MEAN - 5, "loss='tweedie' needs y >= 0"),
    ],
)
def test_refused(params, y, message):
    with pytest.raises(ValueError, match=message):
        fitted(**{"loss": "quantile", "y": TARGETS["quantile"] if y is None else y, **params})


def test_validation_targets_are_refused():
    y = TARGETS["gamma"]
    with pytest.raises(ValueError, match="loss='gamma' needs y > 0, got -"):
        fitted("gamma", given={"X_val": X, "y_val": -y})
    with pytest.raises(ValueError, match="y_val must have 1 columns, got 3"):
        fitted("quantile", quantile=LEVELS, given={"X_val": X, "y_val": np.stack([y] * 3, axis=1)})


def test_no_effect():
    with pytest.warns(UserWarning, match="huber_delta=2.0 has no effect with loss='squared_error'"):
        fitted("squared_error", TARGETS["huber"], huber_delta=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted("huber", huber_delta=2.0)


# ---- other forms ----


@pytest.mark.parametrize("loss", ["huber", "tweedie", "quantile"])
def test_pickles_and_files(loss, tmp_path, quantiles):
    model = quantiles if loss == "quantile" else fitted(loss)
    model.save(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model")):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        assert other.get_params() == model.get_params() and other.oof_score_ == model.oof_score_


def test_files_of_other_levels_are_refused(tmp_path, quantiles):
    model = pickle.loads(pickle.dumps(quantiles)).set_params(quantile=[0.2, 0.4])
    with pytest.raises(ValueError, match="2 levels to sort the predictions by, but the fitted network has 3 outputs"):
        model.predict(X)
    with pytest.raises(ValueError, match="cannot be saved: .* has 2 levels to sort the predictions by"):
        model.save(tmp_path / "model")


def test_checkpoints_know_the_loss(tmp_path):
    for i, (loss, changed) in enumerate(
        [
            ("huber", {"huber_delta": 0.5}),
            ("tweedie", {"tweedie_power": 1.4}),
            ("quantile", {"quantile": 0.7}),
            ("quantile", {"quantile": LEVELS}),
        ]
    ):
        path = tmp_path / f"{i}"
        model = fitted(loss, checkpoint_path=path)
        np.testing.assert_array_equal(fitted(loss, checkpoint_path=path).predict(X), model.predict(X))
        with pytest.raises(ValueError, match=next(iter(changed))):
            fitted(loss, checkpoint_path=path, **changed)


def test_gradients_of_quantiles(quantiles):
    with pytest.raises(ValueError, match="sort_quantiles=True makes a column of predict another output"):
        quantiles.input_gradients(X)
    gradients = quantiles.input_gradients(X, raw_score=True)
    assert gradients.shape == (300, 3, 2)
    np.testing.assert_array_equal(gradients[:, 1], quantiles.input_gradients(X, target=1, raw_score=True))
    model = clone(quantiles).set_params(sort_quantiles=False).fit(X, TARGETS["quantile"])
    h = 1e-3
    change = model.predict({**X, "x": X["x"] + h}) - model.predict({**X, "x": X["x"] - h})
    inside = (model.predict(X) > 1.01 * model._least) & (model.predict(X) < 0.99 * model._greatest)
    found = model.input_gradients(X)[..., 0]
    assert np.median(np.abs(found - change / (2 * h))[inside]) < 0.01 * np.abs(found).mean()
