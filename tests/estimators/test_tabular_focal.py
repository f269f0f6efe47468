"""TabularMLPClassifier with loss="focal"."""

import pickle

import numpy as np
import pytest

from fastmlp import TabularMLPClassifier, load
from fastmlp.engine import Network
from fastmlp.engine.architecture import Dense, Inputs
from fastmlp.training.scores import NegativeFocalLoss

RNG = np.random.default_rng(0)
X = {"x": RNG.normal(size=400), "kind": np.array(["a", "b", "c"])[RNG.integers(3, size=400)]}
Y = np.digitize(X["x"] + 0.5 * (X["kind"] == "c") + 0.5 * RNG.normal(size=400), [0, 1.3])
WEIGHTS = RNG.random(400) + 0.1
PARAMS = {"n_members": 3, "random_state": 0, "recipe": {"hidden_layer_sizes": (16,), "epochs": 15}}


def fitted(loss="focal", weights=None, y=Y, **params):
    return TabularMLPClassifier(**{**PARAMS, "loss": loss, **params}).fit(X, y, weights)


def focal(p, y, gamma, weights=None):
    own = np.float64(p[np.arange(len(y)), y])
    return np.average(-((1 - own) ** gamma) * np.log(own), weights=weights)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_score_is_the_engines(gamma, weights):
    network = Network([Inputs(2), Dense(3)], None, "focal", np.float64, loss_options={"focal_gamma": gamma})
    network.coefs[0][:] = RNG.normal(size=(2, 3))
    Z = RNG.normal(size=(400, 2))
    outputs = network.predict(Z)
    assert NegativeFocalLoss(gamma, Y, weights)(outputs) == pytest.approx(-network.evaluate(Z, Y, weights), rel=1e-9)
    assert NegativeFocalLoss(gamma, np.zeros(2, int), None)(np.float32([[1, 0], [1, 0]])) == 0


@pytest.mark.parametrize("n_members", [3, 10])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_the_loss_chooses(n_members, weights):
    model = fitted(weights=weights, n_members=n_members, focal_gamma=1.5, class_weight={0: 1, 1: 2, 2: 3})
    total = (1 if weights is None else weights) * np.array([1, 2, 3])[Y]
    assert model.oof_score_ == pytest.approx(-focal(model.oof_prediction_, Y, 1.5, total), rel=1e-5)
    constant = np.tile(np.linspace(0.05, 0.9, 18)[:, None], 2)
    pairs = [(a, b) for a in constant[:, 0] for b in constant[:, 0] if a + b < 0.99]
    best = min(focal(np.tile([a, b, 1 - a - b], (400, 1)), Y, 1.5, total) for a, b in pairs)
    assert -model.oof_score_ < best
    for member in model.members_:
        assert member.recipe.label_smoothing == 0
        assert member.best_epoch_ == 15 - np.argmax(member.validation_scores_[::-1])


def test_gamma_of_zero_is_the_log_loss():
    own = fitted(focal_gamma=0.0, scoring="accuracy")
    other = fitted("log_loss", recipe={**PARAMS["recipe"], "label_smoothing": 0.0})
    np.testing.assert_allclose(own.predict_proba(X), other.predict_proba(X), atol=1e-4)
    assert own.members_[0].loss_curve_ == pytest.approx(other.members_[0].loss_curve_, rel=1e-4)
    by_loss = fitted(focal_gamma=0.0)
    assert by_loss.oof_score_ == pytest.approx(-focal(by_loss.oof_prediction_, Y, 0), rel=1e-5)


def test_greater_gamma_is_less_sure():
    sure = [fitted(focal_gamma=gamma).predict_proba(X).max(axis=1).mean() for gamma in (0.0, 2.0, 5.0)]
    assert sure[0] > sure[1] + 0.02 > sure[2] + 0.04
    assert fitted().score(X, Y) > 0.7


@pytest.mark.parametrize("y", [Y, Y > 0], ids=["three", "two"])
def test_pickles_files_and_checkpoints(y, tmp_path):
    model = fitted(y=y, checkpoint_path=tmp_path / "c").set_params(checkpoint_path=None)
    model.save(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model"), fitted(y=y)):
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    assert load(tmp_path / "model").focal_gamma == 2.0
    with pytest.raises(ValueError, match="focal_gamma"):
        fitted(y=y, checkpoint_path=tmp_path / "c", focal_gamma=1.0)


def test_refused_and_without_effect():
    for params, message in (({"focal_gamma": -1.0}, "'focal_gamma'"), ({"loss": "hinge"}, "'loss'")):
        with pytest.raises(ValueError, match=message):
            fitted(**params)
    with pytest.warns(UserWarning, match="focal_gamma=3.0 has no effect with loss='log_loss'"):
        fitted("log_loss", focal_gamma=3.0)


def test_onnx(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model = fitted()
    session = runtime.InferenceSession(model.to_onnx().SerializeToString())
    given = {name: np.asarray(column).reshape(-1, 1) for name, column in X.items()}
    _, probabilities = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
