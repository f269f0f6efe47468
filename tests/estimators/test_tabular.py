"""TabularMLPClassifier and TabularMLPRegressor on raw frames."""

import math
import pickle
import sys
import threading
import time
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, make_scorer, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from fastmlp import MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastmlp.data.tables import TableEncoder
from fastmlp.engine import Network
from fastmlp.training import ensembles
from fastmlp.training.ensembles import folds, integer_seed
from fastmlp.training.portfolio import CLASSIFICATION
from fastmlp.training.recipes import Recipe, Shuffled, layers_for, train_member

pd = pytest.importorskip("pandas")

SMALL = {"hidden_layer_sizes": (16,), "epochs": 12}
BOTH = [TabularMLPClassifier, TabularMLPRegressor]


def frame_of(data, n_columns=6):
    """Some columns of numbers, one of them with gaps, two of strings, a category and bools, made of the others."""
    X = data.data[:, :n_columns].copy()
    X[::7, 1] = np.nan
    X = pd.DataFrame(X, columns=[f"x{i}" for i in range(n_columns)])
    for i, name in enumerate(("few", "many")):
        ranks = data.data[:, i + 2].argsort(kind="stable").argsort()
        X[name] = [f"level {rank * (3, 15)[i] // len(ranks)}" for rank in ranks]
    X.loc[X.index % 11 == 0, "few"] = None
    X["grade"] = pd.Categorical(np.where(data.data[:, 0] > np.median(data.data[:, 0]), "high", "low"))
    X["flag"] = data.data[:, 1] > np.median(data.data[:, 1])
    return X


@pytest.fixture(scope="module")
def cancer():
    data = load_breast_cancer()
    return frame_of(data), np.array(["malignant", "benign"])[data.target]


@pytest.fixture(scope="module")
def diabetes():
    data = load_diabetes()
    return frame_of(data), data.target


def classifier(**params):
    return TabularMLPClassifier(**{"n_members": 3, "random_state": 0, "recipe": SMALL, **params})


def regressor(**params):
    return TabularMLPRegressor(**{"n_members": 3, "random_state": 0, "recipe": SMALL, **params})


def parameters(model):
    return [array for member in model.members_ for array in member.parameters]


def assert_same_bits(one, other):
    for a, b in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- scikit-learn's checks ----


def _checks():
    for kind in BOTH:
        # blobs and other tiny sets are to be learnt
        estimator = kind(n_members=2, recipe={"hidden_layer_sizes": (32,), "epochs": 40})
        for checked, check in estimator_checks_generator(estimator, mark=None):
            label = getattr(check, "func", check).__name__
            keywords = "-".join(map(str, getattr(check, "keywords", {}).values()))
            yield pytest.param(checked, check, id=f"{kind.__name__}-{label}-{keywords}")


# rows that weigh nothing are in batches and folds nevertheless, as in scikit-learn's own MLP
FAILS = ("check_sample_weight_equivalence_on_dense_data",)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator, check", list(_checks()))
def test_scikit_learns_checks(estimator, check):
    if getattr(check, "func", check).__name__ in FAILS:
        pytest.skip("weights of 0 leave rows in batches and folds")
    check(estimator)


# ---- what is learnt ----


def test_classification(cancer):
    X, y = cancer
    model = classifier().fit(X, y)
    assert model.score(X, y) > 0.93
    assert model.classes_.tolist() == ["benign", "malignant"]
    assert model.n_features_in_ == 10
    assert model.feature_names_in_.tolist() == X.columns.tolist()
    probabilities = model.predict_proba(X)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.classes_[probabilities.argmax(axis=1)])
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(probabilities), rtol=1e-5, atol=1e-6)
    assert [len(member.loss_curve_) for member in model.members_] == [12] * 3
    for member in model.members_:
        assert member.best_epoch_ == 12 - np.argmax(member.validation_scores_[::-1])
    assert model.n_iter_ == 12


def test_regression(diabetes):
    X, y = diabetes
    model = regressor(recipe={**SMALL, "epochs": 40}).fit(X, y)
    assert 0.3 < model.oof_score_ < model.score(X, y)
    assert model.oof_prediction_.shape == y.shape
    predictions = model.predict(X)
    assert predictions.dtype == np.float64
    assert y.min() <= predictions.min() and predictions.max() <= y.max()
    # a scale of their own changes nothing, nor does one that float32 has not
    other = regressor(recipe={**SMALL, "epochs": 40}).fit(X, 1e60 * y)
    np.testing.assert_allclose(other.predict(X), 1e60 * predictions, rtol=1e-4)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gamma"])
def test_small_targets(diabetes, loss):
    X, y = diabetes
    model, small = (regressor(loss=loss).fit(X, factor * y) for factor in (1, 2.0**-990))
    # a power of two takes no bit of the targets, and their squares would be zero
    np.testing.assert_array_equal(small.predict(X), 2.0**-990 * model.predict(X))
    assert small.oof_score_ == model.oof_score_


def test_small_and_large_targets_together(diabetes):
    X, y = diabetes
    model = regressor(recipe={**SMALL, "epochs": 40}).fit(X, np.stack([1e-300 * y, 1e60 * y, y * 0 + 1e-300], axis=1))
    predictions = model.oof_prediction_ / [1e-300, 1e60, 1e-300]
    scores = r2_score(np.stack([y, y, y * 0 + 1], axis=1), predictions, multioutput="raw_values")
    assert scores[0] > 0.3 and scores[1] > 0.3 and scores[2] == 1
    assert model.oof_score_ == pytest.approx(scores.mean(), abs=1e-6)


def test_several_outputs(diabetes):
    X, y = diabetes
    Y = np.stack([y, -3 * y + 5, np.arange(len(y)) % 2], axis=1)
    model = regressor(recipe={**SMALL, "epochs": 40}).fit(X, Y)
    assert model.predict(X).shape == model.oof_prediction_.shape == Y.shape
    assert (model.predict(X) <= Y.max(axis=0)).all()
    scores = r2_score(Y, model.oof_prediction_, multioutput="raw_values")
    assert scores[0] > 0.3 and scores[1] > 0.3 and scores[2] < 0.1
    assert model.oof_score_ == pytest.approx(scores.mean(), abs=1e-6)


@pytest.mark.parametrize(
    "labels", [[True, False], [3, -1], [1.0, 0.0], ["a", "b"], np.array(["a", "b"], dtype=object), ["2020", "2019"]]
)
def test_labels(labels):
    X, _ = load_iris(return_X_y=True)
    y = [labels[i] for i in (X[:, 2] > 3).astype(int)]
    model = classifier().fit(X, y)
    assert np.mean(model.predict(X) == np.array(y)) > 0.9
    assert model.classes_.tolist() == sorted(labels)


def test_labels_of_frames():
    X, _ = load_iris(return_X_y=True)
    y = pd.Series(np.where(X[:, 2] > 3, "long", "short"))
    expected = classifier().fit(X, y.to_numpy()).predict_proba(X)
    for given in (y, y.astype("category"), y.to_frame()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sklearn.exceptions.DataConversionWarning)
            np.testing.assert_array_equal(classifier().fit(X, given).predict_proba(X), expected)
    pl = pytest.importorskip("polars")
    np.testing.assert_array_equal(classifier().fit(X, pl.Series(y.to_list())).predict_proba(X), expected)


def test_one_class():
    X, _ = load_iris(return_X_y=True)
    model = classifier().fit(X, ["only"] * len(X))
    assert model.predict(X[:3]).tolist() == ["only"] * 3
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((len(X), 1)))


def test_rare_classes():
    X, y = load_iris(return_X_y=True)
    y[:2], y[2:5] = 7, 9
    model = classifier(n_members=5).fit(X, y)
    assert model.oof_prediction_.shape == (150, 5)
    assert not np.isnan(model.oof_prediction_).any()


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict", "rows"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_libraries_agree(cancer, diabetes, library, make):
    X, y = cancer if make is classifier else diabetes
    plain = X.astype({"grade": object, "few": object}).to_dict("list")
    plain["few"] = [None if value != value else value for value in plain["few"]]
    if library == "polars":
        other = pytest.importorskip("polars").DataFrame(plain)
    elif library == "pyarrow":
        other = pytest.importorskip("pyarrow").table(plain)
    elif library == "dict":
        other = plain
    else:
        other = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
    model = make().fit(X, y)
    expected = model.predict_proba(X) if make is classifier else model.predict(X)
    for fitted in (model, make().fit(other, y)):
        for table in (X, other):
            np.testing.assert_array_equal(
                fitted.predict_proba(table) if make is classifier else fitted.predict(table), expected
            )


def test_single_rows(cancer):
    X, y = cancer
    model = classifier().fit(X, y)
    expected = model.predict_proba(X)
    for i in (0, 7, 11):
        row = dict(zip(X, X.iloc[i].tolist(), strict=True))
        np.testing.assert_array_equal(model.predict_proba(X.iloc[[i]]), expected[[i]])
        np.testing.assert_array_equal(model.predict_proba(row), expected[[i]])


# ---- members ----


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_same_bits_on_any_number_of_threads(cancer, diabetes, make, n_members):
    X, y = cancer if make is classifier else diabetes
    one, two = (make(n_members=n_members, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2))
    assert_same_bits(one, two)
    np.testing.assert_array_equal(one.predict(X), two.predict(X))
    np.testing.assert_array_equal(one.oof_prediction_, two.oof_prediction_)
    other = make(n_members=n_members, random_state=1).fit(X, y)
    assert not np.array_equal(parameters(one)[0], parameters(other)[0])


def test_members_are_those_of_train_member(cancer):
    X, y = cancer
    model = classifier(scoring="neg_log_loss").fit(X, y)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    encoder = TableEncoder()
    numbers, codes = encoder.fit_transform(X)
    labels = (y == "malignant").astype(np.intp)
    recipe = replace(CLASSIFICATION[0], **SMALL, label_smoothing=0.0)
    rows, held_out = folds(len(y), 3, seed, labels)(0, 1)
    layers, dropout = layers_for(recipe, encoder, 2)
    trained = train_member(
        layers,
        dropout,
        (numbers, codes, labels, None),
        Shuffled(rows),
        held_out,
        recipe,
        loss="log_loss",
        loss_options={},
        seed=(seed, 1),
        score=lambda outputs: -log_loss(labels[held_out], outputs),
        judged=(numbers, codes),
    )
    member = model.members_[1]
    assert member.loss_curve_ == trained.losses
    np.testing.assert_allclose(member.validation_scores_, trained.scores, rtol=1e-5)
    for (_, array, _), own in zip(trained.network.parameters, member.parameters, strict=True):
        np.testing.assert_array_equal(own, array)
    np.testing.assert_array_equal(
        model.oof_prediction_[held_out], trained.network.predict(numbers, held_out, codes=codes)
    )


class InParts(Shuffled):
    """The same rows in the same order, in parts that are no whole batches."""

    def epoch(self, rng):
        _, parts = super().epoch(rng)
        return 7, iter(np.array_split(next(iter(parts)), 7))


def test_epochs_in_parts_are_those_of_one(cancer):
    X, y = cancer
    encoder = TableEncoder()
    numbers, codes = encoder.fit_transform(X)
    rows, held_out = np.arange(400), np.arange(400, len(y))
    recipe = replace(CLASSIFICATION[0], hidden_layer_sizes=(16, 16), epochs=4, batch_size=64)
    layers, dropout = layers_for(recipe, encoder, 2)
    data = numbers, codes, (y == "malignant").astype(np.intp), None
    one, other = (
        train_member(
            layers,
            dropout,
            data,
            kind(rows),
            held_out,
            recipe,
            loss="log_loss",
            loss_options={},
            seed=0,
            score=lambda outputs: -outputs[:, 0].sum(),
            judged=data[:2],
        )
        for kind in (Shuffled, InParts)
    )
    assert (one.losses, one.scores, one.best_epoch) == (other.losses, other.scores, other.best_epoch)
    for (_, own, _), (_, given, _) in zip(one.network.parameters, other.network.parameters, strict=True):
        np.testing.assert_array_equal(own, given)


def outputs_of(model, member, X):
    """The outputs of one member."""
    layers, _ = layers_for(member.recipe, model.encoder_, model.n_outputs_)
    network = Network(layers, None, model._loss, np.float32)
    for (_, own, _), given in zip(network.parameters, member.parameters, strict=True):
        own[...] = given
    numbers, codes = model.encoder_.transform(X)
    return network.predict(numbers, codes=codes)


def test_prediction_is_the_average(diabetes):
    X, y = diabetes
    model = regressor().fit(X, y)
    outputs = [outputs_of(model, member, X)[:, 0] for member in model.members_]
    expected = np.clip(np.mean(outputs, axis=0) * y.std() + y.mean(), y.min(), y.max())
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5)


@pytest.fixture
def three_recipes(monkeypatch):
    wide = {**SMALL, "hidden_layer_sizes": (24, 7), "n_bins": 6}
    recipes = (Recipe(**SMALL, learning_rate=0.001), Recipe(**wide), Recipe(**SMALL, dropout=0.4, frequencies=0))
    for kind in BOTH:
        monkeypatch.setattr(kind, "_portfolio", recipes)
    return recipes


@pytest.mark.parametrize("n_members", [15, 13])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_members_of_several_recipes(cancer, diabetes, three_recipes, make, n_members):
    X, y = cancer if make is classifier else diabetes
    scoring = "neg_log_loss" if make is classifier else None
    model = make(n_members=n_members, n_jobs=1, scoring=scoring, recipe=None).fit(X, y)
    assert_same_bits(model, make(n_members=n_members, n_jobs=2, scoring=scoring, recipe=None).fit(X, y))
    seed = np.random.RandomState(0).randint(2**31 - 1)
    labels = (y == "malignant").astype(np.intp) if make is classifier else None
    rows_of = folds(len(y), 5, seed, labels)
    outputs = sum(member.weight_ * outputs_of(model, member, X) for member in model.members_)
    np.testing.assert_allclose(model._outputs(X), outputs, atol=1e-5)
    assert sum(member.weight_ for member in model.members_) == pytest.approx(1)
    # the first recipe learns next to nothing, and its members have no part; the others are in order, five of each
    kept = [three_recipes.index(replace(member.recipe, label_smoothing=0.1)) for member in model.members_]
    assert kept == [1] * 5 + [2] * (len(kept) - 5)
    assert len(kept) in (5, n_members - 5)
    # each row by the members that did not train on it, by the weights of their recipes
    total, shares = np.zeros_like(outputs), np.zeros((len(y), 1))
    for recipe in (1, 2):
        own = [member for member, number in zip(model.members_, kept, strict=True) if number == recipe]
        assert len({member.weight_ for member in own}) <= 1
        for fold, member in enumerate(own):
            held_out = rows_of(0, fold)[1]
            total[held_out] += member.weight_ * len(own) * outputs_of(model, member, X.iloc[held_out])
            shares[held_out] += member.weight_ * len(own)
    np.testing.assert_allclose(model.oof_prediction_, model._from_outputs(total / shares), rtol=1e-5, atol=1e-5)
    alone = [max(member.validation_scores_) for member in model.members_[:5]]
    assert model.oof_score_ > np.mean(alone) - 0.02


def test_more_members_repeat_the_recipes_on_other_folds(cancer, monkeypatch):
    monkeypatch.setattr(TabularMLPClassifier, "_portfolio", (Recipe(**SMALL),))
    monkeypatch.setattr("fastmlp.estimators.tabular_base.greedy_weights", lambda outputs, score: np.array([0.75, 0.25]))
    X, y = cancer
    model = classifier(n_members=10, recipe=None).fit(X, y)
    assert [member.weight_ for member in model.members_] == pytest.approx([0.15] * 5 + [0.05] * 5)
    rows_of = folds(len(y), 5, np.random.RandomState(0).randint(2**31 - 1), (y == "malignant").astype(np.intp))
    expected = np.zeros((len(y), 2))
    for number, member in enumerate(model.members_):
        repeat, fold = divmod(number, 5)
        held_out = rows_of(repeat, fold)[1]
        expected[held_out] += 5 * member.weight_ * outputs_of(model, member, X.iloc[held_out])
    np.testing.assert_allclose(model.oof_prediction_, expected, atol=1e-6)


def test_folds():
    n = 103
    for n_folds in (2, 5, 9):
        rows_of = folds(n, n_folds, 3)
        for repeat in range(2):
            held_out = np.concatenate([rows_of(repeat, i)[1] for i in range(n_folds)])
            np.testing.assert_array_equal(np.sort(held_out), np.arange(n))
            for i in range(n_folds):
                np.testing.assert_array_equal(np.sort(np.concatenate(rows_of(repeat, i))), np.arange(n))
    assert not np.array_equal(folds(n, 5, 3)(0, 0)[1], folds(n, 5, 3)(1, 0)[1])
    expected = list(KFold(5, shuffle=True, random_state=integer_seed(3, 0)).split(np.zeros(n)))
    np.testing.assert_array_equal(folds(n, 5, 3)(0, 2)[1], expected[2][1])


def test_folds_keep_the_shares_of_classes():
    classes = np.repeat([0, 1, 2, 3], [60, 25, 3, 2])
    rows_of = folds(90, 5, 0, classes)
    for i in range(5):
        counts = np.bincount(classes[rows_of(0, i)[1]], minlength=4)
        assert counts[0] == 12 and counts[1:].sum() == 6  # rare ones go with the smallest of the others
    # no class is large enough
    assert len(folds(6, 5, 0, np.arange(6) // 2)(0, 0)[1]) in (1, 2)


def test_out_of_fold_predictions_are_honest():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=600), "b": rng.integers(300, size=600).astype(str)})
    y = rng.integers(2, size=600)
    recipe = {"hidden_layer_sizes": (64, 64), "epochs": 60, "dropout": 0.0, "label_smoothing": 0.0}
    model = TabularMLPClassifier(random_state=0, recipe=recipe, scoring="neg_log_loss").fit(X, y)
    assert accuracy_score(y, model.oof_prediction_.argmax(axis=1)) < 0.56
    # members that keep their last epoch know the rows that they have trained on by heart
    last = TabularMLPClassifier(random_state=0, recipe=recipe, scoring=make_scorer(lambda y, _: 0.0)).fit(X, y)
    assert last.members_[0].best_epoch_ == 60
    assert last.score(X, y) > 0.75
    assert accuracy_score(y, last.oof_prediction_.argmax(axis=1)) < 0.56
    values = TabularMLPRegressor(random_state=0, recipe=recipe).fit(X, rng.normal(size=600))
    assert values.oof_score_ < 0.03


def test_single_member_holds_out_a_part(cancer):
    X, y = cancer
    model = classifier(n_members=1, validation_fraction=0.3).fit(X, y)
    known = ~np.isnan(model.oof_prediction_).any(axis=1)
    assert known.sum() == np.ceil(0.3 * len(y))
    assert np.mean(y[known] == "benign") == pytest.approx(np.mean(y == "benign"), abs=0.01)
    guess = model.classes_[model.oof_prediction_[known].argmax(axis=1)]
    assert model.oof_score_ == accuracy_score(y[known], guess) == max(model.members_[0].validation_scores_)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_validation_set(cancer, diabetes, make):
    X, y = cancer if make is classifier else diabetes
    model = make().fit(X[100:], y[100:], X_val=X[:100], y_val=y[:100])
    assert not hasattr(model, "oof_score_") and not hasattr(model, "oof_prediction_")
    encoder = TableEncoder().fit(X[100:])
    np.testing.assert_array_equal(model.encoder_.transform(X)[0], encoder.transform(X)[0])
    # each has trained on all rows of X: its score there is of the rows given
    best = [max(member.validation_scores_) for member in model.members_]
    assert single(model, 0, X[:100], y[:100]) == pytest.approx(best[0])
    with pytest.raises(ValueError, match="y_val is missing: X_val and y_val go together"):
        make().fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="X_val: .*feature names"):
        make().fit(X, y, X_val=X.drop(columns="x0"), y_val=y)


def single(model, number, X, y):
    """The score of one member."""
    alone = clone(model)
    vars(alone).update({name: value for name, value in vars(model).items() if name != "_average"})
    alone.members_ = [replace(model.members_[number], weight_=1.0)]
    return alone.score(X, y)


# ---- weights, scores ----


def test_class_weight_is_a_weight_of_rows(cancer):
    X, y = cancer
    weights = {"malignant": 3.0, "benign": 0.5}
    one = classifier(class_weight=weights).fit(X, y)
    other = classifier().fit(X, y, np.array([weights[label] for label in y]))
    assert_same_bits(one, other)
    assert one.oof_score_ == other.oof_score_
    # scores that are asked for are those of scikit-learn
    asked = classifier(class_weight=weights, scoring="accuracy").fit(X, y)
    guesses = asked.classes_[asked.oof_prediction_.argmax(axis=1)]
    assert asked.oof_score_ == accuracy_score(y, guesses)
    balanced = classifier(class_weight="balanced").fit(X, y)
    counts = {label: len(y) / (2 * np.sum(y == label)) for label in set(y)}
    assert_same_bits(balanced, classifier(class_weight=counts).fit(X, y))
    sure = classifier(class_weight={"malignant": 100, "benign": 1}).fit(X, y)
    assert np.sum(sure.predict(X) == "malignant") > np.sum(one.predict(X) == "malignant")


def test_sample_weight(diabetes):
    X, y = diabetes
    far = y.copy()
    far[::2] += 1000
    weight = np.ones(len(y))
    weight[::2] = 1e-6
    model = regressor(recipe={**SMALL, "epochs": 40}).fit(X, far, weight)
    assert r2_score(y, model.predict(X)) > 0
    assert r2_score(y, regressor(recipe={**SMALL, "epochs": 40}).fit(X, far).predict(X)) < 0


@pytest.mark.parametrize(
    "scoring, score",
    [
        ("neg_log_loss", lambda y, p: -log_loss(y, p)),
        ("roc_auc", lambda y, p: roc_auc_score(y, p[:, 1])),
        ("accuracy", lambda y, p: np.mean((p[:, 1] > 0.5) == y)),
        (make_scorer(accuracy_score), lambda y, p: np.mean((p[:, 1] > 0.5) == y)),
        (lambda model, X, y: model.predict_proba(X)[:, 1].mean(), lambda y, p: p[:, 1].mean()),
    ],
)
def test_scoring(cancer, scoring, score):
    X, y = cancer
    model = classifier(scoring=scoring).fit(X, y)
    codes = (y == "malignant").astype(int)
    assert model.oof_score_ == pytest.approx(score(codes, model.oof_prediction_), rel=1e-5)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    for i, member in enumerate(model.members_):
        held_out = folds(len(y), 3, seed, codes)(0, i)[1]
        best = score(codes[held_out], model.oof_prediction_[held_out])
        assert max(member.validation_scores_) == pytest.approx(best, rel=1e-5)


def test_scoring_of_regressions(diabetes):
    X, y = diabetes
    model = regressor(scoring="neg_mean_absolute_error").fit(X, y)
    assert model.oof_score_ == pytest.approx(-np.mean(np.abs(y - model.oof_prediction_)))
    assert regressor(scoring="r2").fit(X, y).oof_score_ == regressor().fit(X, y).oof_score_


def test_labels_are_smoothed_for_accuracy_alone(cancer, monkeypatch):
    X, y = cancer
    recipe = {**SMALL, "learning_rate": 0.05}
    monkeypatch.setattr(TabularMLPClassifier, "_portfolio", (Recipe(),))
    smooth, sharp = (classifier(scoring=scoring, recipe=recipe).fit(X, y) for scoring in (None, "neg_log_loss"))
    assert np.array_equal(parameters(smooth)[0], parameters(sharp)[0]) is False
    for scoring, other, value in ((None, sharp, 0.0), ("neg_log_loss", smooth, 0.1)):
        model = classifier(scoring=scoring, recipe={**recipe, "label_smoothing": value}).fit(X, y)
        assert model.members_[0].loss_curve_ == other.members_[0].loss_curve_


def test_undefined_score():
    X, y = load_iris(return_X_y=True)
    y = np.where(y == 2, 1, y)
    y[:] = 1
    y[:2] = 0
    scoring = make_scorer(roc_auc_score, response_method="predict_proba")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=sklearn.exceptions.UndefinedMetricWarning)
        with pytest.warns(UserWarning, match="undefined on the rows that a member holds out"):
            model = classifier(scoring=scoring, n_members=5).fit(X, y)
    assert [member.best_epoch_ for member in model.members_].count(12) >= 3
    assert model.oof_score_ > 0


def test_scorer_that_takes_no_weights(cancer):
    X, y = cancer
    model = classifier(scoring=make_scorer(lambda y, guess: 0.0))
    with pytest.raises(ValueError, match="takes no sample_weight"):
        model.fit(X, y, np.ones(len(y)))
    assert not hasattr(model, "members_")


# ---- time, interrupts, callbacks ----


@pytest.mark.parametrize("kind", [list, np.array])
def test_time_limit_with_layers_that_are_no_tuple(diabetes, kind):
    X, y = diabetes
    recipe = Recipe(hidden_layer_sizes=kind([16, 8]), epochs=2)
    assert recipe == Recipe(hidden_layer_sizes=(16, 8), epochs=2)
    assert len(regressor(n_members=2, time_limit=1e9, recipe=recipe).fit(X, y).members_) == 2


@pytest.mark.parametrize("limit, most", [(1e-9, 2), (0.5, 40)])
def test_time_limit(cancer, limit, most):
    X, y = cancer
    model = classifier(time_limit=limit, n_members=40, recipe={**SMALL, "epochs": 100}).fit(X, y)
    assert 1 <= len(model.members_) <= most
    assert model.predict_proba(X).shape == (len(y), 2)
    known = ~np.isnan(model.oof_prediction_).any(axis=1)
    assert known.any()


def test_no_time_for_all_epochs(cancer):
    X, y = cancer
    model = classifier(time_limit=0.5, n_members=1, recipe={**SMALL, "epochs": 10**7}).fit(X, y)
    # the schedule came to its end nevertheless
    assert 2 < model.n_iter_ < 10**6
    assert model.score(X, y) > 0.9


def test_time_limit_by_a_clock_that_stands(cancer, monkeypatch):
    X, y = cancer
    monkeypatch.setattr(ensembles, "time", SimpleNamespace(monotonic=lambda: 0.0))  # Windows' moves 64 times a second
    assert_same_bits(classifier(time_limit=1000, n_jobs=1).fit(X, y), classifier().fit(X, y))


@pytest.mark.parametrize("limit, n_epochs", [(0.5, 1), (1.5, 1), (2.5, 2), (4.2, 4), (5.5, 5)])
def test_no_epoch_begins_that_would_end_too_late(cancer, monkeypatch, limit, n_epochs):
    X, y = cancer
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(ensembles, "time", clock)
    monkeypatch.setattr("fastmlp.estimators.tabular_base.time", clock)

    def second(estimator, epoch, metrics):
        now[0] += 1.0

    model = classifier(time_limit=limit, callbacks=second, n_jobs=1).fit(X, y)
    # of 5.5 seconds 3.5 are left after two epochs: three on a schedule of their own are more than the two
    assert now[0] == n_epochs
    assert [len(member.loss_curve_) for member in model.members_] == [3 if limit == 5.5 else n_epochs]


def test_enough_time_changes_nothing(cancer):
    X, y = cancer
    assert_same_bits(classifier(time_limit=1000).fit(X, y), classifier().fit(X, y))


def test_interrupt_keeps_trained_members(cancer):
    X, y = cancer

    def interrupt(estimator, epoch, metrics):
        if metrics["member"] == 1 and epoch == 5:
            raise KeyboardInterrupt

    model = classifier(callbacks=interrupt, n_jobs=1)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, y)
    assert len(model.members_) == 1
    assert model.n_iter_ == 12
    assert np.isnan(model.oof_prediction_).any()
    np.testing.assert_array_equal(parameters(model)[0], parameters(classifier().fit(X, y))[0])


def test_interrupt_keeps_what_has_begun(cancer):
    X, y = cancer

    def interrupt(estimator, epoch, metrics):
        if epoch == 5:
            raise KeyboardInterrupt

    model = classifier(callbacks=interrupt, n_jobs=2)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, y)
    assert 1 <= len(model.members_) <= 2
    assert max(len(member.loss_curve_) for member in model.members_) == 5
    assert model.score(X, y) > 0.5


def test_signal_ends_the_fit(cancer):
    signal = pytest.importorskip("signal")
    X, y = cancer
    begun = threading.Event()
    main = threading.main_thread().ident

    def send():
        begun.wait(60)
        signal.pthread_kill(main, signal.SIGINT)

    if not hasattr(signal, "pthread_kill"):
        pytest.skip("no signals to threads")
    model = classifier(callbacks=lambda *_: begun.set(), recipe={**SMALL, "epochs": 10**6})
    sender = threading.Thread(target=send)
    sender.start()
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, y)
    sender.join()
    assert 1 <= model.n_iter_ < 10**6


def test_second_signal_gives_up(cancer):
    signal = pytest.importorskip("signal")
    if not hasattr(signal, "pthread_kill"):
        pytest.skip("no signals to threads")
    X, y = cancer
    begun, released, caught = threading.Event(), threading.Event(), []
    main = threading.main_thread().ident

    def catch(*_):
        caught.append(len(caught))
        raise KeyboardInterrupt

    def hold(*_):  # the epoch, until both signals have come
        begun.set()
        released.wait(60)

    def waits():  # for the members: before that, Ctrl-C finds none that has begun
        frame = sys._current_frames()[main]
        while frame is not None and "concurrent" not in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None and frame.f_code.co_name == "wait"

    def send():
        begun.wait(60)
        while not waits():
            time.sleep(0.001)
        for n in (1, 2):
            signal.pthread_kill(main, signal.SIGINT)
            while len(caught) < n:
                time.sleep(0.001)

    model = classifier(callbacks=hold)
    before = dict(vars(model))
    sender = threading.Thread(target=send)
    former = signal.signal(signal.SIGINT, catch)
    try:
        sender.start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    finally:
        released.set()
        sender.join()
        signal.signal(signal.SIGINT, former)
    assert vars(model) == before


def test_errors_of_a_member_end_the_others(cancer):
    X, y = cancer
    model = classifier().fit(X[:100], y[:100])
    before = dict(vars(model))

    def fail(estimator, epoch, metrics):
        if metrics["member"] == 1:
            raise ZeroDivisionError("of mine")

    model.set_params(callbacks=fail, recipe={**SMALL, "epochs": 10**6})
    with pytest.raises(ZeroDivisionError, match="of mine"):
        model.fit(X, y)
    assert vars(model) == {**before, "callbacks": fail, "recipe": {**SMALL, "epochs": 10**6}}


def test_predictions_go_on_while_another_fit_trains(cancer):
    X, y = cancer
    model = classifier().fit(X, y)
    before, seen = model.predict_proba(X), []
    model.set_params(callbacks=lambda *_: seen.append(model.predict_proba(X)), n_members=1)
    model.fit(X, np.where(y == "benign", "harmless", y))
    assert len(seen) == SMALL["epochs"]
    assert all(np.array_equal(before, probabilities) for probabilities in seen)
    assert model.classes_.tolist() == ["harmless", "malignant"]


def test_a_prediction_during_a_fit_does_not_keep_the_average_of_before(diabetes, monkeypatch):
    X, y = diabetes
    model = pickle.loads(pickle.dumps(regressor(n_members=2).fit(X, y)))  # a pickle has no average
    of_members = model._average_of_members

    def fit_meanwhile():
        average = of_members()
        monkeypatch.undo()
        model.fit(X, -y)
        return average

    monkeypatch.setattr(model, "_average_of_members", fit_meanwhile)
    model.predict(X)
    np.testing.assert_array_equal(model.predict(X), regressor(n_members=2).fit(X, -y).predict(X))


def test_callbacks(cancer):
    X, y = cancer
    told = []

    def listen(estimator, epoch, metrics):
        told.append((metrics["member"], epoch, metrics["loss"], metrics["validation_score"]))
        assert estimator is not model and len(estimator.members_) == 1
        if epoch == 12:
            told[-1] += (estimator.score(X, y),)
        return metrics["member"] == 2 and epoch == 4

    model = classifier(callbacks=[listen])
    model.fit(X, y)
    assert len(model.members_) == 3
    assert [len(member.loss_curve_) for member in model.members_] == [12, 12, 4]
    for i, member in enumerate(model.members_):
        own = [entry for entry in told if entry[0] == i]
        assert [entry[1] for entry in own] == list(range(1, len(own) + 1))
        assert [entry[2] for entry in own] == member.loss_curve_
        assert [entry[3] for entry in own] == member.validation_scores_
    assert all(entry[4] > 0.9 for entry in told if entry[1] == 12)


def test_verbose(cancer, capsys):
    X, y = cancer
    classifier(n_members=2, n_jobs=1, verbose=True, recipe={**SMALL, "epochs": 30}).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("Member 1 of 2, epoch 3 of 30: loss = 0.")
    assert ", validation score = 0." in lines[0]
    classifier(n_members=2, verbose=2).fit(X, y)
    assert len(capsys.readouterr().out.splitlines()) == 24


def test_diverging_members(diabetes):
    X, y = diabetes
    with pytest.warns(ConvergenceWarning, match="loss of a member became non-finite"):
        # the rate of the first update is 0
        model = regressor(recipe={**SMALL, "batch_size": 1024, "learning_rate": 1e30}).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match="non-finite in its first epoch"):
        regressor(recipe={**SMALL, "learning_rate": 1e30}).fit(X, y)


@pytest.mark.parametrize("value", [3.7, math.nan])
@pytest.mark.parametrize("n_members", [1, 10])
def test_columns_that_say_nothing(n_members, value):
    X, y = np.full((40, 2), value), np.arange(40.0)
    model = TabularMLPRegressor(n_members, random_state=0, recipe={"epochs": 20}).fit(X, y)
    assert np.ptp(model.predict(X)) == 0
    assert abs(model.predict(X)[0] - y.mean()) < y.std() / 2
    model = TabularMLPClassifier(n_members, scoring="neg_log_loss", random_state=0, recipe={"epochs": 128})
    np.testing.assert_allclose(model.fit(X, y % 4 == 0).predict_proba(X)[:, 1], 0.25, atol=0.15)


def test_a_single_member_has_a_recipe_of_its_own(diabetes, cancer):
    X, y = diabetes
    one = TabularMLPRegressor(1, max_iter=2, random_state=0).fit(X, y).members_[0].recipe
    assert (one.hidden_layer_sizes, one.epochs) == ((128, 128, 128), 2)
    X, y = cancer
    one = TabularMLPClassifier(1, random_state=0, recipe={"epochs": 1}).fit(X, y).members_[0].recipe
    assert (one.hidden_layer_sizes, one.epochs) == ((256, 256), 1)
    small = TabularMLPClassifier(2, random_state=0, recipe={"epochs": 1}).fit(X, y)
    assert {member.recipe.hidden_layer_sizes for member in small.members_} == {(64, 64)}


@pytest.mark.parametrize("n_members", [1, 2, 10])
def test_the_accuracy_of_outputs_that_are_not_finite_does_not_count(n_members):
    X = np.random.default_rng(0).standard_normal((60, 3))
    recipe = {"learning_rate": 1e30, "epochs": 3}
    with pytest.warns(ConvergenceWarning, match="loss of a member became non-finite"):
        model = TabularMLPClassifier(n_members, n_jobs=1, random_state=0, recipe=recipe).fit(X, X[:, 0] > 0)
    assert {member.best_epoch_ for member in model.members_} == {1}  # the rate of the first update is 0
    assert {member.validation_scores_[1] for member in model.members_} == {-math.inf}
    assert np.isfinite(model.predict_proba(X)).all()


# ---- pickles ----


@pytest.mark.parametrize("make", [classifier, regressor])
def test_pickles(cancer, diabetes, make):
    X, y = cancer if make is classifier else diabetes
    model = make().fit(X, y)
    data = pickle.dumps(model)
    loaded = pickle.loads(data)
    for table in (X, X.iloc[:1]):
        np.testing.assert_array_equal(loaded.predict(table), model.predict(table))
    if make is classifier:
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.oof_score_ == model.oof_score_
    assert not hasattr(loaded, "oof_prediction_")
    twice = make().fit(pd.concat([X] * 4), np.concatenate([y] * 4))
    assert len(pickle.dumps(twice)) < 1.02 * len(data)
    # what is small of itself stays so: no workspaces
    assert len(data) < 1.5 * sum(array.nbytes for array in parameters(model)) + 20_000


# ---- scikit-learn's tools, on raw frames ----


def test_search(cancer):
    X, y = cancer
    search = GridSearchCV(classifier(n_members=2), {"recipe": [SMALL, {**SMALL, "epochs": 1}]}, cv=2).fit(X, y)
    assert search.best_params_ == {"recipe": SMALL}
    assert search.best_estimator_.predict(X).shape == y.shape
    assert clone(search.best_estimator_).get_params()["recipe"] == SMALL


def test_pipeline_routes_validation_data(cancer):
    X, y = cancer
    with sklearn.config_context(enable_metadata_routing=True):
        last = classifier().set_fit_request(X_val=True, y_val=True, sample_weight=True)
        pipe = make_pipeline(FunctionTransformer(lambda X: X.drop(columns="x0")), last, transform_input=["X_val"])
        pipe.fit(X, y, X_val=X[:50], y_val=y[:50], sample_weight=np.ones(len(y)))
        assert pipe[-1].n_features_in_ == 9
        scores = cross_val_score(
            classifier(n_members=2).set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
            X,
            y,
            params={"sample_weight": np.ones(len(y))},
            cv=2,
        )
    assert not hasattr(pipe[-1], "oof_score_")
    assert scores.min() > 0.85


def test_calibration_and_stacking(cancer, diabetes):
    X, y = cancer
    calibrated = CalibratedClassifierCV(classifier(n_members=2), cv=2).fit(X, y)
    assert calibrated.score(X, y) > 0.9
    stack = StackingClassifier([("tabular", classifier(n_members=2))], LogisticRegression(), cv=2).fit(X, y)
    assert stack.score(X, y) > 0.9
    X, y = diabetes
    stack = StackingRegressor([("tabular", regressor(n_members=2, recipe={**SMALL, "epochs": 40}))], cv=2).fit(X, y)
    assert stack.score(X, y) > 0.4


def test_permutation_importance(diabetes):
    X, y = diabetes
    X = X.assign(noise=[str(i % 5) for i in range(len(y))])
    model = regressor(recipe={**SMALL, "epochs": 40}).fit(X, y)
    importance = permutation_importance(model, X, y, n_repeats=3, random_state=0).importances_mean
    assert X.columns[importance.argmax()] in ("x2", "few")
    assert importance[-1] < 0.3 * importance.max()


# ---- what is refused ----


@pytest.mark.parametrize(
    "given",
    [
        {"hidden_layer_sizes": 3},
        {"activation": None},
        {"frequencies": -1},
        {"number_width": 0},
        {"category_width": 2.5},
        {"frequency_scale": math.inf},
        {"dropout": 1},
        {"weight_decay": -1},
        {"label_smoothing": 1.0},
        {"learning_rate": -1},
        {"learning_rate": math.nan},
        {"beta_2": 1},
        {"first_rate": None},
        {"scale_rate": "x"},
        {"number_rate": -0.1},
        {"epochs": 0},
        {"epochs": 2.5},
        {"batch_size": 0},
        {"batch_size": 2.5},
    ],
    ids=str,
)
def test_recipes_are_refused(cancer, given):
    (name,) = given
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Recipe must be"):
        Recipe(**given)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Recipe must be"):
        classifier(recipe=given).fit(*cancer)


@pytest.mark.parametrize(
    "params, error, message",
    [
        ({"n_members": 0}, ValueError, "'n_members' parameter .* must be an int in the range"),
        ({"time_limit": 0}, ValueError, "'time_limit' parameter"),
        ({"scoring": "no such"}, ValueError, "'scoring' parameter"),
        ({"scoring": "loss"}, ValueError, "'scoring' parameter"),
        ({"recipe": {"depth": 3}}, ValueError, "recipe has 'depth', which is none of hidden_layer_sizes, "),
        ({"categorical_features": ["x9"]}, ValueError, "categorical_features has 'x9', which is no column of X"),
        ({"validation_fraction": 1.0}, ValueError, "'validation_fraction' parameter"),
        ({"recipe": {"activation": "step"}}, ValueError, "activation"),
    ],
)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_parameters_are_refused(cancer, diabetes, make, params, error, message):
    X, y = cancer if make is classifier else diabetes
    model = make(**params)
    with pytest.raises(error, match=message):
        model.fit(X, y)
    assert not hasattr(model, "encoder_")


@pytest.mark.parametrize(
    "class_weight, message",
    [
        ({"malignant": -1, "benign": 1}, "must have finite values >= 0"),
        ({"cat": 1, "benign": 1}, "does not go with the classes"),
        ({"malignant": 0, "benign": 0}, "sample_weight times class_weight must have a positive, finite sum"),
    ],
)
def test_class_weights_are_refused(cancer, class_weight, message):
    with pytest.raises(ValueError, match=message):
        classifier(class_weight=class_weight).fit(*cancer)


def test_targets_are_refused(cancer, diabetes):
    X, y = cancer
    for target, error, message in (
        (None, ValueError, "requires y to be passed, but the target y is None"),
        (np.where(y == "benign", None, y), ValueError, "y contains NaN or other missing values"),
        ([1, "a"] * (len(y) // 2) + [1], TypeError, "labels of several types"),
        (np.stack([y, y], axis=1), ValueError, "y must have one column of labels"),
        (np.linspace(0, 1, len(y)), ValueError, "Unknown label type: y is continuous. A regressor is for such targets"),
        (y[:-1], ValueError, "inconsistent numbers of samples"),
    ):
        with pytest.raises(error, match=message):
            classifier().fit(X, target)
    with pytest.raises(ValueError, match="y_val has the label 'other', which is none of the classes"):
        classifier().fit(X, y, X_val=X[:2], y_val=["benign", "other"])
    with pytest.raises(ValueError, match="y_val has the label 3, which is none of the classes"):
        classifier().fit(X, y, X_val=X[:2], y_val=[3, 4])
    X, y = diabetes
    for loss, target, message in (
        ("poisson", y - 300, "loss='poisson' needs y >= 0"),
        ("gamma", y - y.min(), "loss='gamma' needs y > 0"),
        ("squared_error", np.where(y > 100, np.nan, y), "contains NaN"),
        ("squared_error", 1e200 * y, r"y is too large: its mean or standard deviation overflows, got 3.46e\+202"),
    ):
        with pytest.raises(ValueError, match=message):
            regressor(loss=loss).fit(X, target)
    with pytest.raises(ValueError, match="y_val must have 1 columns, got 2"):
        regressor().fit(X, y, X_val=X, y_val=np.stack([y, y], axis=1))


def test_weights_are_refused(cancer):
    X, y = cancer
    with pytest.raises(ValueError, match="sample_weight must be >= 0"):
        classifier().fit(X, y, -np.ones(len(y)))
    weight = np.zeros(len(y))
    weight[0] = 1
    with pytest.raises(ValueError, match="sample_weight is zero on all rows that a member holds out"):
        classifier().fit(X, y, weight)


def test_rows_are_refused(cancer):
    X, y = cancer
    model = classifier()
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.fit(X, y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X.drop(columns="x0"))
    with pytest.raises(ValueError, match="Column 'x0' is numeric, and has 'blue'"):
        model.predict(X.assign(x0="blue"))
    with pytest.raises(ValueError, match="Column 'x0' contains infinity"):
        model.predict(X.assign(x0=np.inf))


NO_NUMBERS = {
    "strings": (["red", "blue"] * 75, "has strings or categories"),
    "a late string": ([1.5] * 149 + ["many"], "has strings or categories"),
    "categories": (pd.Categorical(["a", "b", "c"] * 50), "has strings or categories"),
    "gaps": ([1.0, np.nan, 2.0] * 50, "has missing values"),
    "gaps in integers": (pd.array([1, None, 2] * 50, dtype="Int64"), "has missing values"),
    "None": ([1.0, None, 2.0] * 50, "has missing values"),
    "empty": ([None] * 150, "has missing values"),
    "dates": (pd.date_range("2024-02-29", periods=150), "has dates"),
}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("case", NO_NUMBERS)
@pytest.mark.parametrize("drop_in", [MLPClassifier, MLPRegressor])
def test_drop_ins_name_the_column_and_the_way_out(drop_in, case, library):
    X, y = load_iris(return_X_y=True)
    column, said = NO_NUMBERS[case]
    if library != "pandas" and case in ("dates", "a late string"):
        return  # what the libraries make numbers of, and what they have no column for
    numbers = pd.DataFrame(X, columns=list("abde")).assign(c=1.0)
    frame = numbers.assign(c=column)
    if library == "polars":
        pytest.importorskip("pyarrow")  # by which Polars reads columns of pandas
        numbers, frame = map(pytest.importorskip("polars").from_pandas, (numbers, frame))
    elif library == "pyarrow":
        numbers, frame = map(pytest.importorskip("pyarrow").Table.from_pandas, (numbers, frame))
    match = f"Column 'c' {said}. Tabular{drop_in.__name__} takes such tables as they are"
    for fit in (
        lambda model: model.fit(frame, y),
        lambda model: model.partial_fit(frame, y, **{"classes": [0, 1, 2]} if drop_in is MLPClassifier else {}),
        lambda model: model.fit(numbers, y, X_val=frame, y_val=y),
    ):
        model = drop_in(max_iter=2)
        with pytest.raises((ValueError, TypeError), match=match):
            fit(model)
        assert not hasattr(model, "coefs_")


def test_drop_ins_take_categories_of_numbers():
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X, columns=list("abde")).assign(c=pd.Categorical([3, 4, 5] * 50))
    for drop_in in (MLPClassifier, MLPRegressor):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            drop_in(max_iter=2).fit(frame, y)
