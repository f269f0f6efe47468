"""What early stopping judges by: the right measure, a small tolerance, rows that have what a score needs, new data."""

import pickle
import warnings

import numpy as np
import pytest
from parity import assert_same_model, data, pair, quietly
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import d2_pinball_score, get_scorer, get_scorer_names, log_loss, make_scorer, r2_score

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators.validation import hold_out, strata

PARAMS = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 100}
STOPPED = {**PARAMS, "early_stopping": True}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _rows(n=400, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((n, 4))
    return X, 1.5 * X[:, 0] + np.sin(2 * X[:, 1]) + 0.3 * rng.standard_normal(n)


X, MEAN = _rows()
CODES = np.digitize(MEAN, [-1, 1])
TARGETS = {
    "positive": np.exp(MEAN),
    "real": MEAN,
    "two reals": np.c_[MEAN, -0.5 * MEAN],
    "binary": (MEAN > 1).astype(int),
    "multiclass": CODES,
    "multilabel": np.c_[MEAN > 1, MEAN < 0, X[:, 2] > 0].astype(int),
    "several": np.c_[CODES, 5 + (X[:, 2] > 0)],
}
# name: estimator, parameters, targets
OWN = {
    "absolute_error": (MLPRegressor, {"loss": "absolute_error"}, ("real", "two reals")),
    "huber": (MLPRegressor, {"loss": "huber", "huber_delta": 0.5}, ("real", "two reals")),
    "log_cosh": (MLPRegressor, {"loss": "log_cosh"}, ("real", "two reals")),
    "quantile": (MLPRegressor, {"loss": "quantile", "quantile": 0.9}, ("real", "two reals")),
    "quantiles": (MLPRegressor, {"loss": "quantile", "quantile": [0.1, 0.9]}, ("real",)),
    "gamma": (MLPRegressor, {"loss": "gamma"}, ("positive",)),
    "tweedie": (MLPRegressor, {"loss": "tweedie"}, ("positive",)),
    "focal": (MLPClassifier, {"loss": "focal"}, ("binary", "multiclass", "multilabel")),
    "hinge": (MLPClassifier, {"loss": "hinge"}, ("binary", "multiclass", "multilabel")),
    "label_smoothing": (MLPClassifier, {"label_smoothing": 0.1}, ("binary", "multiclass", "multilabel", "several")),
    "class_weight": (MLPClassifier, {"class_weight": "balanced"}, ("binary", "multiclass", "multilabel", "several")),
    "several": (MLPClassifier, {}, ("several",)),
}
CASES = [(name, target) for name, (*_, targets) in OWN.items() for target in targets]


def _same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name, target", CASES)
def test_what_scikit_learn_lacks_is_judged_by_the_validation_loss(name, target, given, weighted):
    kind, params, _ = OWN[name]
    y = TARGETS[target]
    weight = np.random.RandomState(3).uniform(0.2, 2, len(X)) if weighted else None
    validation = {}
    if given:
        validation = {"X_val": X[300:], "y_val": y[300:]}
    params = {**STOPPED, **params, "learning_rate_init": 0.01}
    model, by_loss = (kind(**params, scoring=scoring).fit(X, y, weight, **validation) for scoring in (None, "loss"))
    assert _same(model, by_loss) and model.validation_scores_ == by_loss.validation_scores_
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    # the constant that has the lowest loss is what the network comes to where X says nothing
    constant = kind(**params, alpha=0, scoring="loss", batch_size=len(X)).fit(0 * X, y, weight, X_val=0 * X, y_val=y)
    held = {"X_val": X, "y_val": y, "sample_weight_val": weight}
    losses = []
    for each in (model, constant):
        each.set_params(warm_start=True, early_stopping=False, scoring=None, learning_rate_init=1e-300, max_iter=1)
        rows = X if each is model else 0 * X
        each.fit(rows, y, weight, **{**held, "X_val": rows})
        losses.append(each.validation_loss_curve_[-1])
    assert losses[0] < 0.8 * losses[1]


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "regression", "multi-output", "poisson"])
def test_what_scikit_learn_has_is_judged_as_scikit_learn_does(target):
    X, y = data(target)
    models = pair(target, **PARAMS, early_stopping=True, validation_fraction=0.3)
    for model in models:
        quietly(model.fit, X, y)
    assert_same_model(*models, X)


@pytest.mark.parametrize("quantile", [0.05, [0.9], 0.99])
def test_quantiles_keep_their_coverage(quantile):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((3000, 3))
    y = X[:, 0] + np.exp(0.5 * X[:, 1]) * rng.exponential(2, 3000)
    model = MLPRegressor(**STOPPED, loss="quantile", quantile=quantile, learning_rate_init=0.01).fit(X[:2000], y[:2000])
    level = np.ravel(quantile)[0]
    assert np.mean(y[2000:] <= model.predict(X[2000:])) == pytest.approx(level, abs=0.03)


def test_the_score_of_quantiles_is_d2_of_the_pinball_loss():
    weight = np.random.RandomState(0).uniform(size=len(X))
    for target in ("real", "two reals"):
        y = TARGETS[target]
        for quantile in (0.8, [0.8]):
            model = MLPRegressor(**PARAMS, loss="quantile", quantile=quantile).fit(X, y)
            expected = d2_pinball_score(y, model.predict(X), sample_weight=weight, alpha=0.8)
            assert model.score(X, y, weight) == expected != r2_score(y, model.predict(X), sample_weight=weight)
    model = MLPRegressor(**PARAMS, loss="quantile", quantile=[0.2, 0.8]).fit(X, MEAN)
    parts = [d2_pinball_score(MEAN, p, alpha=a) for a, p in zip((0.2, 0.8), model.predict(X).T, strict=True)]
    assert model.score(X, MEAN) == pytest.approx(np.mean(parts))


def test_a_scoring_that_was_set_judges_every_loss():
    model = MLPRegressor(**STOPPED, loss="huber", scoring="r2").fit(X, MEAN, X_val=X, y_val=MEAN)
    assert model.best_validation_score_ == pytest.approx(r2_score(MEAN, model.predict(X)))
    classifier = MLPClassifier(**STOPPED, loss="focal", scoring="accuracy").fit(X, CODES, X_val=X, y_val=CODES)
    assert classifier.best_validation_score_ == classifier.score(X, CODES)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_small_losses_of_our_own_train_on(early_stopping):
    rare = (MEAN > np.quantile(MEAN, 0.97)).astype(int)
    params = {**PARAMS, "max_iter": 200, "early_stopping": early_stopping}
    focal = MLPClassifier(**params, loss="focal", focal_gamma=5).fit(X, rare, X_val=X, y_val=rare)
    assert focal.n_iter_ == 200 and max(focal.validation_loss_curve_[100:]) < 1e-2
    y = MEAN / 20
    params |= {"alpha": 0, "learning_rate_init": 0.003, "batch_size": 20}
    small = MLPRegressor(**params, loss="huber").fit(X, y)
    assert small.loss_ < 3e-4 and small.score(X, y) > 0.9
    if not early_stopping:  # scikit-learn's losses keep its tolerance, and half the squared error is the same loss here
        assert MLPRegressor(**params).fit(X, y).n_iter_ < 100 < small.n_iter_


# Scores that say nothing

RARE = np.r_[np.full(5, 2), np.arange(195) % 2]
WITH_ALL, LACKING = np.arange(200) % 3, np.arange(200) % 3 < 2


@pytest.mark.parametrize("labels", [np.array([0, 1, 2]), np.array(["a", "b", "c"]), np.array(["a", "b", "c"], object)])
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ("neg_log_loss", "d2_log_loss_score", "roc_auc_ovo", "top_k_accuracy")
        if name in get_scorer_names()  # which grow with scikit-learn
    ],
)
def test_a_scorer_of_probabilities_is_told_all_labels(name, labels):
    y = labels[WITH_ALL]
    rows = X[:200]
    model = MLPClassifier(**{**STOPPED, "max_iter": 5}, scoring=name)
    model.fit(rows, y, X_val=rows[LACKING], y_val=y[LACKING])
    scorer = make_scorer(
        get_scorer(name)._score_func,
        response_method=get_scorer(name)._response_method,
        greater_is_better=name != "neg_log_loss",
        **get_scorer(name)._kwargs,
        labels=labels,
    )
    assert model.best_validation_score_ == pytest.approx(scorer(model, rows[LACKING], y[LACKING]))
    for seed in range(10):
        MLPClassifier(**{**STOPPED, "max_iter": 1, "random_state": seed}, scoring=name).fit(rows, labels[RARE])


def test_a_binary_scorer_of_probabilities_is_told_both_labels():
    y, positive = TARGETS["binary"], TARGETS["binary"] == 1
    model = MLPClassifier(**STOPPED, scoring="neg_log_loss").fit(X, y, X_val=X[positive], y_val=y[positive])
    expected = -log_loss(y[positive], model.predict_proba(X[positive]), labels=[0, 1])
    assert model.best_validation_score_ == pytest.approx(expected)
    told = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False, labels=[0, 1])
    other = MLPClassifier(**STOPPED, scoring=told).fit(X, y, X_val=X[positive], y_val=y[positive])
    assert _same(model, other)


CONSTANT = {
    "roc_auc, one class": ("roc_auc", TARGETS["binary"], slice(0, 0), "y has one value"),
    "average_precision, no positives": ("average_precision", TARGETS["binary"], slice(0, 0), "y has one value"),
    "matthews_corrcoef, one class": ("matthews_corrcoef", CODES, slice(0, 0), "y has one value"),
    "roc_auc_ovr, a class lacking": ("roc_auc_ovr", CODES, slice(0, 1), "y lacks 2"),
    "average_precision of three": ("average_precision", CODES, slice(0, 1), "y lacks 2"),
    "roc_auc of labels": ("roc_auc", TARGETS["multilabel"], None, "y has one value in column 0"),
    "default, one row": (None, CODES, 1, "there is one row"),
    "default, one class": (None, TARGETS["binary"], slice(0, 0), "y has one value"),
    "r2, one row": ("r2", MEAN, 1, "there is one row"),
    "r2, one value": ("r2", MEAN, "constant", "y has one value"),
    "explained_variance": ("explained_variance", MEAN, "constant", "y has one value"),
    "d2_absolute_error_score": ("d2_absolute_error_score", MEAN, "constant", "y has one value"),
    "default R2, one value": (None, MEAN, "constant", "y has one value"),
    "default R2, two outputs": (None, TARGETS["two reals"], "constant", "y has one value"),
}


def _held(y, which):
    """Rows and targets of a validation set that has one row, one value, or only some classes."""
    if which == "constant":
        return X[:20], 0 * y[:20] + 0.1
    if which is None:
        return X[y[:, 0] == 0], y[y[:, 0] == 0]
    keep = slice(which) if isinstance(which, int) else np.isin(y, [which.start, which.stop])
    return X[keep], y[keep]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("case", CONSTANT)
def test_a_score_that_says_nothing_gives_way_to_the_loss(case, early_stopping):
    scoring, y, which, why = CONSTANT[case]
    kind = MLPRegressor if y.dtype.kind == "f" else MLPClassifier
    X_val, y_val = _held(y, which)
    params = {**PARAMS, "early_stopping": early_stopping}
    with pytest.warns(UserWarning) as caught:
        model = kind(**params, scoring=scoring).fit(X, y, X_val=X_val, y_val=y_val)
    assert [str(each.message) for each in caught if each.category is UserWarning] == [
        f"{f'scoring={scoring!r}' if scoring else 'The default score'} is undefined or constant on the validation rows,"
        f" as {why}."
        " The negative validation loss is the score instead."
    ]
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    by_loss = kind(**params, scoring="loss").fit(X, y, X_val=X_val, y_val=y_val)
    assert _same(model, by_loss) and model.validation_scores_ == by_loss.validation_scores_


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "neg_mean_absolute_error"])
def test_a_score_that_one_value_leaves_defined_stays(scoring):
    model = MLPRegressor(**STOPPED, scoring=scoring).fit(X, MEAN, X_val=X[:20], y_val=np.full(20, 0.1))
    assert model.best_validation_score_ == pytest.approx(get_scorer(scoring)(model, X[:20], np.full(20, 0.1)))
    labels = TARGETS["binary"]
    model = MLPClassifier(**STOPPED, scoring="accuracy").fit(X, labels, X_val=X[:1], y_val=labels[:1])
    assert set(model.validation_scores_) <= {0.0, 1.0}


def test_held_out_rows_of_one_value_do_not_stop_a_regression_at_once():
    y = np.where(np.arange(400) == 7, 1.0, 0.0) * 100
    with pytest.warns(UserWarning, match="The default score is undefined or constant .* y has one value"):
        model = MLPRegressor(**STOPPED).fit(X, y)
    assert model.best_validation_score_ == max(-loss for loss in model.validation_loss_curve_)


def test_one_value_of_all_rows_is_judged_as_scikit_learn_does():
    models = pair("regression", **{**PARAMS, "max_iter": 20}, early_stopping=True)
    for model in models:
        quietly(model.fit, X, np.full(400, 3.0))
    assert_same_model(*models, X)


def test_what_a_scorer_raises_on_rows_that_lack_nothing_is_raised():
    def scorer(estimator, X, y):
        raise ValueError("of the scorer's own")

    with pytest.raises(ValueError, match="of the scorer's own"):
        MLPClassifier(**STOPPED, scoring=scorer).fit(X, CODES, X_val=X, y_val=CODES)
    weighted = {"X_val": X[:1], "y_val": MEAN[:1], "sample_weight_val": [1.0]}
    with pytest.raises(ValueError, match="takes no sample_weight"), warnings.catch_warnings():
        MLPRegressor(**STOPPED, scoring="neg_max_error").fit(X, MEAN, **weighted)


# Rows that are held out


def test_strata_are_classes_where_these_are_frequent():
    y = np.repeat([0, 1, 2], [50, 30, 20])
    np.testing.assert_array_equal(strata(y, 0.1), y)
    rows, held_out = hold_out(100, 0.1, strata(y, 0.1), np.random.RandomState(0))
    np.testing.assert_array_equal(np.bincount(y[held_out]), [5, 3, 2])
    assert sorted([*rows, *held_out]) == list(range(100))


def test_a_class_of_one_row_is_trained_on():
    y = np.r_[np.zeros(60, int), np.ones(38, int), 2, 3]
    for seed in range(20):
        rows, held_out = hold_out(100, 0.2, strata(y, 0.2), np.random.RandomState(seed))
        assert len(held_out) == 20 and {98, 99} <= set(rows)
        np.testing.assert_array_equal(np.bincount(y[held_out]), [12, 8])


@pytest.mark.parametrize("seed", range(30))
def test_any_classes_can_be_split(seed):
    rng = np.random.RandomState(seed)
    n = rng.randint(20, 120)
    y = (rng.exponential(rng.choice([0.3, 2, 30]), (n, rng.randint(1, 4)))).astype(np.intp)
    fraction = rng.choice([0.1, 0.2, 0.5, 0.8])
    rows, held_out = hold_out(n, fraction, strata(y, fraction), rng)
    assert sorted([*rows, *held_out]) == list(range(n)) and len(held_out) == np.ceil(fraction * n)


@pytest.mark.parametrize("params", [{"loss": "focal"}, {"class_weight": "balanced"}, {"scoring": "neg_log_loss"}])
def test_rare_classes_are_handled(params):
    y = np.r_[np.full(180, 0), np.full(18, 1), 2, 3]
    model = MLPClassifier(**{**STOPPED, "max_iter": 3}, **params).fit(X[:200], y)
    assert model.classes_.tolist() == [0, 1, 2, 3]
    alone = (np.arange(200) == 50).astype(int)
    assert MLPClassifier(**{**STOPPED, "max_iter": 3}, **params).fit(X[:200], alone).n_iter_ == 3
    each_its_own = np.arange(200)
    assert MLPClassifier(**{**STOPPED, "max_iter": 3}, **params).fit(X[:200], each_its_own).n_iter_ == 3
    if "loss" not in params and "scoring" not in params:
        outputs = np.c_[y, each_its_own % 7]
        assert MLPClassifier(**{**STOPPED, "max_iter": 3}, **params).fit(X[:200], outputs).n_iter_ == 3


# Training that is no longer finite


@pytest.mark.parametrize(
    "kind, y", [(MLPRegressor, 2 * X[:, 0] + 1), (MLPRegressor, np.exp(MEAN)), (MLPClassifier, CODES)]
)
@pytest.mark.parametrize("scoring", [None, "loss", "other"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_restores_the_best_and_says_so(kind, y, scoring, dtype):
    params = {"solver": "sgd", "learning_rate_init": 10.0, "dtype": dtype}
    if kind is MLPClassifier:
        params |= {"learning_rate_init": 1e18 if dtype == "float32" else 1e150}
    if scoring == "other":
        scoring = "neg_log_loss" if kind is MLPClassifier else "neg_mean_squared_error"
    model = kind(**{**STOPPED, **params}, scoring=scoring)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            model.fit(X, y)
        except ValueError as error:
            assert "non-finite" in str(error) and not hasattr(model, "coefs_")
            return
    said = [str(each.message) for each in caught if each.category is ConvergenceWarning]
    assert sum(~np.isfinite(model.loss_curve_)) == 1 and len(model.validation_scores_) == model.n_iter_
    assert f"the loss became non-finite at epoch {model.n_iter_};" in said[-1] and len(said) == 1
    assert all(np.isfinite(coef).all() for coef in model.coefs_)
    finite = [score for score in model.validation_scores_ if np.isfinite(score)]
    assert model.best_validation_score_ == max(finite)


def test_one_of_these_fits_diverges_after_an_epoch():
    model = MLPRegressor(**STOPPED, solver="sgd", learning_rate_init=10.0)
    with pytest.warns(ConvergenceWarning, match="the loss became non-finite at epoch"):
        model.fit(X, 2 * X[:, 0] + 1)
    seen = []
    model = MLPRegressor(
        **STOPPED,
        solver="sgd",
        learning_rate_init=10.0,
        callbacks=lambda model, epoch, metrics: seen.append(np.isfinite(model.coefs_[0]).all()),
    )
    quietly(model.fit, X, 2 * X[:, 0] + 1)
    assert len(seen) == model.n_iter_ > 1 and all(seen)


def test_a_loss_that_overflows_is_said_by_every_way_of_training():
    huge = MEAN * 1e200
    with pytest.warns(ConvergenceWarning, match="the loss became non-finite at epoch 1"):
        model = MLPRegressor(**PARAMS).fit(X, huge)
    assert model.n_iter_ == 11
    with pytest.warns(ConvergenceWarning, match="the loss became non-finite at epoch 1"):
        MLPRegressor(**PARAMS).partial_fit(X, huge)
    with pytest.warns(ConvergenceWarning, match="lbfgs: the loss became non-finite"):
        model = MLPRegressor(**PARAMS, solver="lbfgs").fit(X, huge)
    assert not np.isfinite(model.loss_)


def test_partial_fit_that_diverges_leaves_the_model_as_it_was():
    model = MLPRegressor(**PARAMS, solver="sgd", learning_rate_init=1.0).partial_fit(X[:50] / 100, MEAN[:50] / 100)
    before = [coef.copy() for coef in model.coefs_]
    with pytest.raises(ValueError, match="non-finite"):
        for _ in range(20):
            before = [coef.copy() for coef in model.coefs_]
            model.partial_fit(X * 10, MEAN * 1e3)
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, before, strict=True))


# Warm starts


def _month(k, seed, n=600):
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((n, 5))
    side = np.cos(0.5 * k) * X[:, 0] + np.sin(0.5 * k) * X[:, 1] + 0.4 * rng.standard_normal(n)
    return X, (side > 0).astype(int)


@pytest.mark.parametrize("change", ["X", "y", "weight"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_warm_start_on_other_data_starts_the_best_and_the_patience_anew(early_stopping, change):
    X, y = _month(0, 1)
    params = {**PARAMS, "early_stopping": early_stopping, "learning_rate_init": 0.01, "warm_start": True}
    model = MLPClassifier(**params).fit(X, y, np.ones(len(y)))
    told = pickle.loads(pickle.dumps(model))
    if early_stopping:
        told.best_validation_score_, told._best_coefs = 1.0, [0 * coef for coef in told._best_coefs]
    else:
        told.best_loss_ = 0.0
    other_X, other_y = (X + 1, y) if change == "X" else (X, 1 - y) if change == "y" else (X, y)
    weight = np.full(len(y), 2.0) if change == "weight" else np.ones(len(y))
    for each in (model, told):
        each.fit(other_X, other_y, weight)
    assert _same(model, told) and model.n_iter_ > 1  # nothing of the record before counts
    if early_stopping:
        assert model.best_validation_score_ == max(model.validation_scores_[-model.n_iter_ :])
    else:
        assert model.best_loss_ == min(model.loss_curve_[-model.n_iter_ :])


@pytest.mark.parametrize("with_set", [False, True])
def test_refits_on_new_months_follow_them(with_set):
    model = MLPClassifier(**STOPPED, learning_rate_init=0.01, warm_start=True)
    for k in range(4):
        X_val, y_val = _month(k, 100 + k)
        before = [coef.copy() for coef in getattr(model, "coefs_", [])]
        model.fit(*_month(k, k), **({"X_val": X_val, "y_val": y_val} if with_set else {}))
        assert model.score(X_val, y_val) > 0.8
        assert not any(np.array_equal(a, b) for a, b in zip(model.coefs_, before, strict=False))


@pytest.mark.parametrize("form", [np.array, np.asfortranarray, sparse.csr_matrix, lambda X: X.tolist()])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_warm_start_on_the_same_data_goes_on_as_scikit_learn_does(form, early_stopping):
    X, y = data("binary")
    models = pair("binary", **{**PARAMS, "max_iter": 20}, early_stopping=early_stopping, warm_start=True)
    for model in models:
        for _ in range(4):
            quietly(model.fit, form(X), y.copy())
    if early_stopping:  # the best weights are a copy here
        assert models[0].validation_scores_[:20] == pytest.approx(models[1].validation_scores_[:20])
        assert models[0].best_validation_score_ >= models[1].validation_scores_[0]
        assert models[0]._no_improvement_count == models[1]._no_improvement_count
    else:
        assert_same_model(*models, X)


def test_a_new_validation_set_alone_is_new_data_for_early_stopping():
    first, second = _month(0, 5), _month(0, 6)
    model = MLPClassifier(**STOPPED, warm_start=True).fit(*_month(0, 1), X_val=first[0], y_val=first[1])
    model.best_validation_score_ = 2.0
    assert quietly(model.fit, *_month(0, 1), X_val=first[0], y_val=first[1]).best_validation_score_ == 2.0
    assert quietly(model.fit, *_month(0, 1), X_val=second[0], y_val=second[1]).best_validation_score_ <= 1.0


def test_models_that_do_not_know_their_data_go_on_as_scikit_learns(tmp_path):
    X, y = _month(0, 1)
    model = MLPClassifier(**STOPPED, warm_start=True).fit(X, y)
    model.save(tmp_path / "model")
    for kept in (fastmlp.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        kept.best_validation_score_ = 2.0
        assert quietly(kept.fit, X, y).best_validation_score_ == 2.0
        unknown = pickle.loads(pickle.dumps(kept))
        del unknown._trained_on
        assert quietly(unknown.fit, *_month(1, 2)).best_validation_score_ == 2.0
        assert quietly(kept.fit, *_month(1, 2)).best_validation_score_ <= 1.0
