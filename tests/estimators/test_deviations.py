"""The rows of docs/deviations.md that are not tested where they belong."""

import numpy as np
import pytest
from parity import N, data, pair, weights
from twin import TwinNetwork

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import networks

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
PARAMS = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0, "batch_size": 10}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("target", ["binary", "multiclass", "multi-output", "poisson"])
def test_a_batch_without_weight_is_a_step_of_momentum_alone(target, solver, monkeypatch):
    X, y = data(target)
    sample_weight = weights()
    sample_weight[20:30] = 0
    models = [pair(target, **PARAMS, solver=solver, shuffle=False, alpha=0.1)[0] for _ in range(2)]
    models[0].fit(X, y, sample_weight=sample_weight)
    monkeypatch.setattr(networks, "Network", TwinNetwork)
    models[1].fit(X, y, sample_weight=sample_weight)
    np.testing.assert_allclose(models[0].loss_curve_, models[1].loss_curve_, rtol=1e-10)
    for a, b in zip(models[0].coefs_, models[1].coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_warm_start_keeps_the_best_weights_of_before(kind):
    y = LABELS if kind is MLPClassifier else NUMBERS
    model = kind(**PARAMS, early_stopping=True, warm_start=True, learning_rate_init=0.01).fit(X, y)
    model.best_validation_score_ = 1.0  # nothing will beat it
    before = [coef.copy() for coef in model.coefs_]
    model.set_params(learning_rate_init=0.5).fit(X, y)
    assert model.best_validation_score_ == 1.0
    assert len(model.validation_scores_) == 12
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, before, strict=True))
    assert not any(np.shares_memory(a, b) for a, b in zip(model.coefs_, model._best_coefs, strict=True))


@pytest.mark.parametrize("change", [{"early_stopping": True}, {"solver": "lbfgs"}])
def test_warm_starts_across_solvers_and_stopping(change):
    model = MLPClassifier(**PARAMS, warm_start=True).fit(X, LABELS)
    back = {name: getattr(model, name) for name in change}
    for params in (change, back):
        score = model.score(X, LABELS)
        model.set_params(**params).fit(X, LABELS)
        assert model.score(X, LABELS) >= score - 0.1
        assert np.isfinite(model.loss_)
        assert hasattr(model, "loss_curve_") == (model.solver != "lbfgs")
        if model.solver == "lbfgs":
            assert not hasattr(model, "_optimizer") and not hasattr(model, "best_loss_")
        else:
            assert (model.best_loss_ is None) == model.early_stopping
            assert (model.validation_scores_ is None) == (not model.early_stopping)
    model.partial_fit(X, LABELS)


def test_a_warm_start_with_another_loss_has_its_output():
    model = MLPRegressor(**PARAMS, warm_start=True).fit(X, np.exp(NUMBERS))
    model.set_params(loss="poisson").fit(X, np.exp(NUMBERS))
    assert model.out_activation_ == "exp" and model.predict(X).min() > 0


def test_partial_fit_goes_over_to_another_solver():
    model, fresh = (MLPClassifier(**PARAMS).fit(X, LABELS) for _ in range(2))
    model.set_params(solver="sgd", momentum=0.5).partial_fit(X, LABELS)
    del fresh._optimizer
    fresh.set_params(solver="sgd", momentum=0.5).partial_fit(X, LABELS)
    assert model._optimizer.name == "sgd"
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, fresh.coefs_, strict=True))


@pytest.mark.parametrize("warm_start", [False, True])
def test_partial_fit_on_data_that_lack_a_class(warm_start):
    models = [MLPClassifier(**PARAMS, warm_start=start).fit(X, LABELS) for start in (warm_start, False)]
    for model in models:
        model.partial_fit(X[LABELS != 20], LABELS[LABELS != 20])
    assert np.array_equal(models[0].coefs_[0], models[1].coefs_[0])
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        models[0].set_params(warm_start=True).fit(X[LABELS != 20], LABELS[LABELS != 20])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_early_stopping_with_words_for_labels(n_classes):
    codes = np.searchsorted(np.unique(LABELS), LABELS) % n_classes
    words = np.array(["red", "sea", "you"], dtype=object)[codes]
    params = {**PARAMS, "early_stopping": True}
    model, coded = MLPClassifier(**params).fit(X, words), MLPClassifier(**params).fit(X, codes)
    assert model.validation_scores_ == coded.validation_scores_
    np.testing.assert_array_equal(model.predict(X), np.array(["red", "sea", "you"])[coded.predict(X)])


def test_a_sparse_indicator_matrix_is_predicted_as_one():
    from scipy import sparse

    X, y = data("multilabel")
    model, dense = MLPClassifier(**PARAMS).fit(X, sparse.csr_matrix(y)), MLPClassifier(**PARAMS).fit(X, y)
    assert sparse.issparse(model.predict(X))
    np.testing.assert_array_equal(model.predict(X).toarray(), dense.predict(X))
    model.partial_fit(X, sparse.csr_matrix(y))
    dense.partial_fit(X, y)
    assert np.array_equal(model.coefs_[0], dense.coefs_[0])


def test_log_probabilities_of_zero_are_silent():
    model = MLPClassifier(hidden_layer_sizes=(), max_iter=1, random_state=0).fit(X, LABELS)
    model.coefs_[0][...] = 0
    model.intercepts_[0][:] = [0, 0, 2000]
    np.testing.assert_array_equal(model.predict_log_proba(X), np.tile([-np.inf, -np.inf, 0], (N, 1)))
