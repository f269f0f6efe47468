"""Validation sets, scoring and early stopping."""

import numpy as np
import pytest
from parity import REGRESSION, data, quietly, weights
from scipy import sparse
from sklearn import config_context
from sklearn.metrics import get_scorer, log_loss, mean_poisson_deviance, r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators.validation import hold_out, strata

PARAMS = {"hidden_layer_sizes": (6,), "max_iter": 8, "random_state": 0, "batch_size": 16}
X, LABELS = data("multiclass")
X_VAL, LABELS_VAL = data("multiclass", seed=5, n=40)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_validation_loss_of_each_epoch_is_that_of_the_model_after_it(weighted, kind):
    weight = weights(40) if weighted else None
    held = sparse.csr_matrix(X_VAL) if kind == "csr" else X_VAL
    models = []
    fitted = MLPClassifier(**PARAMS, callbacks=lambda model, epoch, metrics: models.append((model, metrics)))
    fitted.fit(X, LABELS, X_val=held, y_val=LABELS_VAL, sample_weight_val=weight)
    assert len(fitted.validation_loss_curve_) == len(fitted.validation_scores_) == 8
    for i, (model, metrics) in enumerate(models):
        loss = log_loss(LABELS_VAL, model.predict_proba(X_VAL), sample_weight=weight)
        assert metrics["validation_loss"] == fitted.validation_loss_curve_[i] == pytest.approx(loss, rel=1e-12)
        score = model.score(X_VAL, LABELS_VAL, weight)
        assert metrics["validation_score"] == fitted.validation_scores_[i] == pytest.approx(score, rel=1e-12)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)


def test_a_validation_set_changes_nothing_of_the_training():
    plain = MLPClassifier(**PARAMS).fit(X, LABELS)
    watched = MLPClassifier(**PARAMS).fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL)
    assert plain.loss_curve_ == watched.loss_curve_
    assert all(np.array_equal(a, b) for a, b in zip(plain.coefs_, watched.coefs_, strict=True))
    assert plain.validation_scores_ is None and not hasattr(plain, "validation_loss_curve_")
    watched.fit(X, LABELS)
    assert watched.validation_scores_ is None and not hasattr(watched, "validation_loss_curve_")


@pytest.mark.parametrize("scoring", [None, "loss", "neg_log_loss", "balanced_accuracy", get_scorer("f1_macro")])
def test_early_stopping_restores_the_best_by_any_score(scoring):
    kept = []
    model = MLPClassifier(
        **{**PARAMS, "max_iter": 60},
        early_stopping=True,
        scoring=scoring,
        learning_rate_init=0.05,
        n_iter_no_change=4,
        tol=0.0,
        callbacks=lambda model, epoch, metrics: kept.append(model),
    ).fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL)
    scores = model.validation_scores_
    best = int(np.argmax(scores))
    assert model.best_validation_score_ == scores[best]
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, kept[best].coefs_, strict=True))
    if scoring == "loss":
        assert scores == [-loss for loss in model.validation_loss_curve_]
    elif scoring is not None:
        scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
        assert scores == pytest.approx([scorer(each, X_VAL, LABELS_VAL) for each in kept], rel=1e-12)


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "regression", "multi-output"])
@pytest.mark.parametrize("scoring", ["loss", None])
def test_rows_set_aside_serve_as_a_set_of_ones_own(target, scoring):
    X, y = data(target)
    sample_weight = weights()
    kind = MLPRegressor if target in REGRESSION else MLPClassifier
    model = kind(**PARAMS, early_stopping=True, scoring=scoring, shuffle=False).fit(X, y, sample_weight)
    parts = y == y.max() if target == "binary" else None
    if scoring is not None and target in ("multiclass", "multilabel"):  # which scikit-learn's MLP does not have
        parts = strata(y, 0.1)
    rows, held = hold_out(len(X), 0.1, parts, _after_the_weights(model))
    other = kind(**PARAMS, early_stopping=True, scoring=scoring, shuffle=False).fit(
        X[rows], y[rows], sample_weight[rows], X_val=X[held], y_val=y[held], sample_weight_val=sample_weight[held]
    )
    assert model.validation_scores_ == pytest.approx(other.validation_scores_, rel=1e-12)
    assert hasattr(model, "validation_loss_curve_") == (scoring == "loss")
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, other.coefs_, strict=True))


def _after_the_weights(model):
    """The random state as it is once the initial weights are drawn."""
    state = np.random.RandomState(0)
    for coef in model.coefs_:
        state.uniform(size=coef.shape)
        state.uniform(size=coef.shape[1])
    return state


def test_scorers_see_the_labels_as_they_were_given():
    labels = np.array(["no", "yes"])[(LABELS > 10).astype(int)]
    seen = []

    def scorer(estimator, X, y):
        seen.append(set(y))
        assert set(estimator.predict(X)) <= {"no", "yes"}
        return len(seen)

    model = MLPClassifier(**PARAMS, early_stopping=True, scoring=scorer).fit(X, labels)
    assert model.validation_scores_ == list(range(1, 9)) and set.union(*seen) == {"no", "yes"}


def test_partial_fit_takes_a_validation_set():
    model = MLPRegressor(**PARAMS)
    X, y = data("poisson")
    X_val, y_val = data("poisson", seed=5, n=30)
    model.set_params(loss="poisson")
    for i in range(3):
        model.partial_fit(X, y, X_val=X_val, y_val=y_val)
        predicted = model.predict(X_val)
        assert len(model.validation_scores_) == len(model.validation_loss_curve_) == i + 1
        assert model.validation_scores_[-1] == pytest.approx(r2_score(y_val, predicted), rel=1e-10)
        assert model.validation_loss_curve_[-1] == pytest.approx(mean_poisson_deviance(y_val, predicted) / 2, rel=1e-10)


@pytest.mark.parametrize("scoring", [None, "loss", "r2"])
def test_float32_and_float64_validation_sets(scoring):
    X, y = data("regression")
    curves = []
    for dtype in (np.float32, np.float64):
        model = MLPRegressor(**PARAMS, dtype="float32", early_stopping=True, scoring=scoring)
        model.fit(X, y, X_val=X[:20].astype(dtype), y_val=y[:20])
        curves.append(model.validation_scores_)
    np.testing.assert_allclose(*curves, rtol=1e-5)


def test_metadata_routing_through_a_pipeline():
    with config_context(enable_metadata_routing=True):
        double = FunctionTransformer(lambda X: 2 * X)
        model = MLPClassifier(**PARAMS).set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        pipeline = Pipeline([("double", double), ("mlp", model)], transform_input=["X_val"])
        weight = weights(40)
        pipeline.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=weight)
    alone = MLPClassifier(**PARAMS).fit(2 * X, LABELS, X_val=2 * X_VAL, y_val=LABELS_VAL, sample_weight_val=weight)
    assert pipeline[-1].validation_loss_curve_ == alone.validation_loss_curve_


@pytest.mark.parametrize(
    "given, match",
    [
        ({"X_val": X_VAL}, "y_val is missing"),
        ({"y_val": LABELS_VAL}, "X_val is missing"),
        ({"sample_weight_val": weights(40)}, "X_val is missing"),
        ({"X_val": X_VAL[:, :3], "y_val": LABELS_VAL}, "X_val, y_val .*3 features"),
        ({"X_val": X_VAL, "y_val": LABELS_VAL + 1}, "X_val, y_val .*classes not in"),
        ({"X_val": X_VAL, "y_val": LABELS_VAL[:5]}, "X_val, y_val .*inconsistent numbers"),
        ({"X_val": X_VAL * np.nan, "y_val": LABELS_VAL}, "X_val, y_val .*NaN"),
        ({"X_val": X_VAL, "y_val": LABELS_VAL, "sample_weight_val": np.zeros(40)}, "X_val, .*sample_weight"),
    ],
)
def test_bad_validation_sets_are_refused(given, match):
    model = MLPClassifier(**PARAMS)
    with pytest.raises(ValueError, match=match):
        model.fit(X, LABELS, **given)
    assert not hasattr(model, "coefs_")
    with pytest.raises(ValueError, match="validation set"):
        quietly(MLPClassifier(**PARAMS, solver="lbfgs").fit, X, LABELS, X_val=X_VAL, y_val=LABELS_VAL)


def test_scores_of_another_kind_start_anew():
    model = MLPClassifier(**PARAMS, early_stopping=True, warm_start=True).fit(X, LABELS)
    before = [coef.copy() for coef in model.coefs_]
    model.set_params(scoring="loss").fit(X, LABELS)
    assert not all(np.array_equal(a, b) for a, b in zip(model.coefs_, before, strict=True))
    assert len(model.validation_scores_) == model.n_iter_ and model.best_validation_score_ < 0
    model.fit(X, LABELS)
    assert len(model.validation_scores_) > model.n_iter_


@pytest.mark.parametrize("own", [{"early_stopping": True}, {"early_stopping": True, "scoring": "loss"}])
def test_losses_of_other_rows_start_anew_with_their_scores(own):
    model = MLPRegressor(**PARAMS, loss="huber", warm_start=True, **own)
    y = data("regression")[1]
    model.fit(X, y)
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == model.n_iter_
    model.set_params(early_stopping=False, max_iter=5).fit(X, y, X_val=X[:20], y_val=y[:20])
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_] and model.n_iter_ == 5
    assert len(model.validation_loss_curve_) == 5
    model.partial_fit(X, y, X_val=X[:20], y_val=y[:20])
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    assert len(model.validation_loss_curve_) == 6


def test_calls_without_a_validation_set_add_nothing_to_its_record():
    model = MLPClassifier(**PARAMS).partial_fit(X, LABELS, classes=[10, 20, 30], X_val=X, y_val=LABELS)
    model.partial_fit(X, LABELS).partial_fit(X, LABELS, X_val=X, y_val=LABELS)
    assert len(model.loss_curve_) == 3 and len(model.validation_scores_) == len(model.validation_loss_curve_) == 2
    assert model.best_validation_score_ == max(model.validation_scores_)


@pytest.mark.parametrize("score", [float("nan"), None, {"a": 1.0}])
def test_what_a_scorer_gives_must_be_a_number(score):
    model = MLPClassifier(**PARAMS, early_stopping=True, scoring=lambda estimator, X, y: score)
    with pytest.raises(ValueError, match="scoring=.*must give a number"):
        model.fit(X, LABELS)
    if score is not None and not isinstance(score, dict):
        model.set_params(early_stopping=False).fit(X, LABELS, X_val=X, y_val=LABELS)
        assert np.isnan(model.best_validation_score_)


def test_a_scorer_without_weights_is_refused_where_there_are_some():
    model = MLPRegressor(**PARAMS, early_stopping=True, scoring="neg_max_error")
    with pytest.raises(ValueError, match="scoring='neg_max_error' takes no sample_weight"):
        model.fit(X, data("regression")[1], weights())
    model.fit(X, data("regression")[1])


def test_targets_of_a_validation_set_have_the_columns_of_the_others():
    with pytest.raises(ValueError, match="y_val must have 1 columns, got 3"):
        MLPRegressor(**PARAMS).fit(X, data("regression")[1], X_val=X, y_val=data("multi-output")[1])
