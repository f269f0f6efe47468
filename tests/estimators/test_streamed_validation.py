"""Fits to sources: rows held out, validation sets, and weights of rows and classes."""

import numpy as np
import pytest
from sklearn.base import clone
from streamed import CODES, KINDS, LABELS, NUMBERS, SMALL, WEIGHTS, WINDOW, F, N, X, assert_same, npy, parquet, targets

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.data import windows
from fastmlp.training.streams import StreamedFit

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def held_out(model, source, monkeypatch):
    """Fits; gives the numbers of the rows that were held out, by the weights that are these numbers."""
    found, hold_out = [], StreamedFit.hold_out

    def telling(self, share):
        data = hold_out(self, share)
        found.append(data.score_weight.astype(int) - 1)
        return data

    with monkeypatch.context() as patch:
        patch.setattr(StreamedFit, "hold_out", telling)
        model.fit(source)
    return found[0]


@pytest.mark.parametrize("scoring", [None, "loss", "r2"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_held_out(kind, scoring, tmp_path, monkeypatch):
    """As in memory, with the same rows held out and given as a validation set."""
    if kind is MLPClassifier and scoring == "r2":
        scoring = "balanced_accuracy"
    weights = np.arange(1.0, N + 1)
    model = kind(**SMALL, shuffle=False, early_stopping=True, validation_fraction=0.15, scoring=scoring)
    streamed = clone(model)
    rows = held_out(streamed, parquet(tmp_path, kind, weights=weights), monkeypatch)
    assert 0.1 * N < len(rows) < 0.2 * N and (np.diff(rows) > 0).all()
    rest = np.setdiff1d(np.arange(N), rows)
    y = targets(kind)
    expected = clone(model).fit(
        X[rest], y[rest], weights[rest], X_val=X[rows], y_val=y[rows], sample_weight_val=weights[rows]
    )
    assert_same(streamed, expected)
    assert streamed.validation_scores_ == expected.validation_scores_
    assert streamed.best_validation_score_ == expected.best_validation_score_
    assert streamed.t_ == streamed.n_iter_ * len(rest)
    assert hasattr(streamed, "validation_loss_curve_") == (scoring == "loss")


@pytest.mark.parametrize("kind", KINDS)
def test_which_rows_are_held_out_depends_on_the_seed_alone(kind, tmp_path, monkeypatch):
    weights = np.arange(1.0, N + 1)
    sources = [parquet(tmp_path, kind, weights=weights), npy(kind, weights=weights, window=170)]
    model = kind(**SMALL, early_stopping=True)
    found = [held_out(clone(model), source, monkeypatch) for source in sources]
    np.testing.assert_array_equal(*found)
    other = held_out(clone(model).set_params(random_state=1), sources[0], monkeypatch)
    assert len(np.intersect1d(other, found[0])) < 0.5 * len(other)
    shuffled = clone(model).fit(sources[0])
    assert_same(shuffled, clone(model).fit(sources[0]))
    assert len(shuffled.validation_scores_) == shuffled.n_iter_


def test_held_out_rows_are_no_more_than_a_window():
    model = MLPClassifier(**SMALL, early_stopping=True, validation_fraction=0.5)
    with pytest.warns(UserWarning, match="validation_fraction=0.5 of 503 rows is more than a window of"):
        model.fit(npy(MLPClassifier))
    assert 380 < model.t_ / model.n_iter_ < 425


def test_too_few_rows_are_held_out():
    model = MLPClassifier(**SMALL, early_stopping=True, validation_fraction=1e-6)
    with pytest.raises(ValueError, match="validation_fraction=1e-06 holds 0 of 503 rows out: at least 2 are needed"):
        model.fit(npy(MLPClassifier))
    weightless = np.zeros(N)
    weightless[0] = 1
    with pytest.raises(ValueError, match="zero on all rows of the validation set"):
        MLPClassifier(**SMALL, early_stopping=True).fit(npy(MLPClassifier, weights=weightless))


@pytest.mark.parametrize("window", [WINDOW, N])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_validation_sets(kind, early_stopping, window, tmp_path):
    y, first, last = targets(kind), slice(0, 400), slice(400, None)
    model = kind(**SMALL, shuffle=False, early_stopping=early_stopping)
    given = {"X_val": X[last], "y_val": y[last], "sample_weight_val": WEIGHTS[last]}
    expected = clone(model).fit(X[first], y[first], **given)
    source = fastmlp.scan_npy(X[first], y[first], window_rows=window)
    of_arrays = clone(model).fit(source, **given)
    of_source = clone(model).fit(source, X_val=parquet(tmp_path, kind, rows=last, weights=WEIGHTS, window=N))
    for streamed in (of_arrays, of_source):
        assert_same(streamed, expected)
        assert streamed.validation_scores_ == expected.validation_scores_
        assert streamed.validation_loss_curve_ == expected.validation_loss_curve_


def test_validation_sets_that_are_refused(tmp_path):
    source, model = npy(MLPClassifier), MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match="y_val must be None beside X_val="):
        model.fit(source, X_val=source, y_val=LABELS)
    with pytest.raises(ValueError, match=r"X_val=scan_npy\(X\) has 503 rows, more than its window of 100"):
        model.fit(source, X_val=source)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 7"):
        model.fit(source, X_val=fastmlp.scan_npy(X[:, :3].copy(), LABELS))
    with pytest.raises(ValueError, match="classes not in"):
        model.fit(source, X_val=npy(None, y=np.full(N, "never"), window=N))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_rows(kind, tmp_path):
    model = kind(**SMALL, shuffle=False)
    expected = clone(model).fit(X, targets(kind), WEIGHTS)
    assert_same(clone(model).fit(npy(kind, weights=WEIGHTS)), expected)
    assert_same(clone(model).fit(parquet(tmp_path, kind, weights=WEIGHTS)), expected)
    shuffled = kind(**SMALL).fit(npy(kind, weights=WEIGHTS))
    assert_same(shuffled, kind(**SMALL).fit(npy(kind, weights=WEIGHTS)))
    assert shuffled.loss_curve_ != kind(**SMALL).fit(npy(kind)).loss_curve_


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "rows"])
@pytest.mark.parametrize("case", ["balanced", {"no": 3, "yes": 0.5, "perhaps": 1}, "indicators", "outputs"], ids=str)
def test_weights_of_classes(case, weights):
    y, class_weight = LABELS, case
    if case == "indicators":
        y, class_weight = np.stack([CODES > 0, CODES > 1, CODES > 5], axis=1).astype(int), "balanced"
    elif case == "outputs":
        y, class_weight = np.stack([CODES, CODES // 2 + 7], axis=1), ["balanced", {7: 2, 8: 0.1}]
    model = MLPClassifier(**SMALL, shuffle=False, class_weight=class_weight)
    streamed = clone(model).fit(npy(None, y=y, weights=weights))
    assert_same(streamed, clone(model).fit(X, y, weights))


def test_weights_of_classes_that_are_refused():
    with pytest.raises(ValueError, match="does not go with the classes"):
        MLPClassifier(**SMALL, class_weight={"never": 2}).fit(npy(MLPClassifier))


def test_a_label_that_only_the_last_rows_have():
    y = np.where(np.arange(N) < N - 3, LABELS, "rare")
    model = MLPClassifier(**SMALL, shuffle=False, class_weight="balanced")
    assert_same(clone(model).fit(npy(None, y=y)), clone(model).fit(X, y))


def test_all_rows_at_the_end_held_out(monkeypatch):
    """The last windows may have no row to train on."""
    monkeypatch.setattr(
        windows,
        "is_drawn",
        lambda source, block, seed, share: np.full(source.blocks[block], source.starts[block] >= 294),
    )
    for solver in ("adam", "schedule_free_adamw"):
        model = MLPRegressor(**SMALL, solver=solver, shuffle=False, early_stopping=True)
        streamed = clone(model).fit(npy(MLPRegressor))
        expected = clone(model).fit(X[:294], NUMBERS[:294], X_val=X[294:], y_val=NUMBERS[294:])
        assert_same(streamed, expected)
    assert streamed.n_features_in_ == F
