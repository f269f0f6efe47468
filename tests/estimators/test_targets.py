"""Targets as users have them: tables of labels, gaps, dates; and what is said of those that no model can learn."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from parity import N, data
from scipy import sparse
from sklearn.metrics import log_loss
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.class_weight import compute_sample_weight

from fastmlp import MLPClassifier, MLPRegressor

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
PARAMS = {"hidden_layer_sizes": (16,), "max_iter": 300, "random_state": 0, "learning_rate_init": 0.02}
SHORT = {**PARAMS, "max_iter": 3}

FIRST, SECOND = X[:, 0] > 0, X[:, 1] > 0
WORDS = np.where(SECOND, "yes", "no")
ONES = np.where(FIRST, 2, 1)
DAYS = pd.Series(pd.date_range("2020", periods=N))

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True))


# ---- columns of labels ----


@pytest.mark.parametrize("low, high", [(-1, 1), (1, 2), (5, 9), (0, 2), (-1.0, 1.0), ("0", "1"), (7, 7)])
def test_two_columns_of_two_labels_are_labels(low, high):
    y = np.where(X[:, :2] > 0, high, low)
    model = MLPClassifier(**PARAMS).fit(X, y)
    predicted = model.predict(X)
    assert model.score(X, y) == (predicted == y).all(axis=1).mean() > 0.95
    assert predicted.dtype == y.dtype and set(predicted.ravel()) == {low, high}
    assert [list(labels) for labels in model.classes_] == [sorted({low, high})] * 2
    # any other two labels in this order are the same problem
    assert _same(model, MLPClassifier(**PARAMS).fit(X, np.where(y == high, 30, 20) if low != high else y + 1))


@pytest.mark.parametrize("dtype", [int, float, bool, object])
def test_columns_of_0_and_1_are_an_indicator_matrix(dtype):
    y = (X[:, :2] > 0).astype(int).astype(dtype)
    model = MLPClassifier(**PARAMS).fit(X, y)
    assert model.out_activation_ == "logistic" and list(model.classes_) == [0, 1]
    for other in (sparse.csr_matrix(y.astype(int)), sparse.csr_matrix(y.astype(int) * 5)):  # by its one other value
        again = MLPClassifier(**PARAMS).fit(X, other)
        assert _same(model, again)


def test_what_partial_fit_is_told_of_the_classes_decides_what_columns_are():
    y = np.stack([np.where(FIRST, 2, 1), np.where(SECOND, 9, 5)], axis=1)
    whole = MLPClassifier(**SHORT, shuffle=False).fit(X, y)
    parts = MLPClassifier(**SHORT, shuffle=False)
    for _ in range(3):
        parts.partial_fit(X, y, classes=[[2, 1], pd.Series([5, 9])])
    assert _same(whole, parts)
    for classes in ([0, 1], [1, 2, 5, 9]):
        with pytest.raises(ValueError, match="y must have only 0 and 1, .* partial_fit a list with those of each"):
            MLPClassifier(**SHORT).partial_fit(X, y, classes=classes)
    # a batch that happens to have only 0 and 1
    columns = MLPClassifier(**SHORT).partial_fit(X, 1 * (X[:, :2] > 0), classes=[[0, 1, 2], [0, 1]])
    assert [proba.shape for proba in columns.predict_proba(X)] == [(N, 3), (N, 2)]
    indicator = MLPClassifier(**SHORT).partial_fit(X, 1 * (X[:, :2] > 0), classes=[0, 1])
    with pytest.raises(ValueError, match="y must have only 0 and 1"):
        indicator.partial_fit(X, y)
    with pytest.raises(ValueError, match="y must have only 0 and 1"):
        indicator.set_params(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="X_val, y_val or sample_weight_val: y must have only 0 and 1"):
        indicator.set_params(warm_start=False).fit(X, 1 * (X[:, :2] > 0), X_val=X, y_val=y)
    with pytest.raises(TypeError, match=r"classes\[1\] has labels of several types, number and text"):
        MLPClassifier(**SHORT).partial_fit(X, y, classes=[[1, 2], np.array([5, "9"], dtype=object)])


# a column, its labels, and the kind of their dtype
COLUMNS = {
    "Int64": (pd.array(ONES, dtype="Int64"), [1, 2], "i"),
    "int8": (ONES.astype(np.int8), [1, 2], "i"),
    "string": (pd.array(np.where(FIRST, "b", "a"), dtype="string"), ["a", "b"], "U"),
    "category": (pd.Categorical(np.where(FIRST, "b", "a")), ["a", "b"], "U"),
    "category of ints": (pd.Categorical(ONES), [1, 2], "i"),
    "boolean": (pd.array(FIRST, dtype="boolean"), [False, True], "b"),
    "dates": (np.where(FIRST, np.datetime64("2021-01-01", "us"), np.datetime64("2020-01-01", "us")), None, "M"),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("beside", ["text", "numbers"])
def test_every_column_of_a_frame_keeps_its_own_labels(name, beside):
    column, labels, kind = COLUMNS[name]
    other = WORDS if beside == "text" else np.where(SECOND, 9, 5)
    table = pd.DataFrame(dict.fromkeys("ab"), index=range(N)).assign(a=column, b=other)
    model = MLPClassifier(**PARAMS).fit(X, table, X_val=X, y_val=table)
    assert [classes.dtype.kind for classes in model.classes_] == [kind, "U" if beside == "text" else "i"]
    if labels is not None:
        assert list(model.classes_[0]) == labels
    predicted = model.predict(X)
    right = (predicted[:, 0] == np.asarray(column)) & (predicted[:, 1] == other)
    assert model.score(X, table) == right.mean() > 0.95
    losses = 0
    for labels, classes, p in zip((column, other), model.classes_, model.predict_proba(X), strict=True):
        codes = (np.asarray(labels)[:, None] == classes).argmax(axis=1)
        losses = losses - np.log(p[np.arange(N), codes])
    assert model.validation_scores_[-1] == pytest.approx(-losses.mean())
    assert _same(
        model, MLPClassifier(**PARAMS).fit(X, np.stack([np.where(FIRST, 4, 3), np.where(SECOND, 2, 1)], axis=1))
    )


def test_frames_of_polars_and_nested_lists_are_the_same_tables():
    table = pl.DataFrame({"a": ONES, "b": WORDS, "c": FIRST != SECOND})
    rows = [[int(a), str(b), bool(c)] for a, b, c in zip(ONES, WORDS, FIRST != SECOND, strict=True)]
    models = [MLPClassifier(**PARAMS).fit(X, y) for y in (table, rows, np.array(rows, dtype=object))]
    for model in models:
        assert _same(model, models[0]) and [labels.dtype.kind for labels in model.classes_] == ["i", "U", "b"]
        for y in (table, rows, pd.DataFrame(rows)):
            assert model.score(X, y) == models[0].score(X, table) > 0.9
    assert models[0].predict(X)[0].tolist() == rows[0]
    two = pl.DataFrame({"a": ONES, "b": np.where(SECOND, 9, 5)})
    assert MLPClassifier(**PARAMS).fit(X, two).predict(X).dtype == np.int64
    single = pl.Series(WORDS.tolist())
    assert set(MLPClassifier(**SHORT).fit(X, single).classes_) == {"no", "yes"}


def test_columns_of_one_name_are_told_apart():
    table = pd.DataFrame(np.stack([ONES, np.where(SECOND, 9, 5)], axis=1), columns=["z", "z"])
    model = MLPClassifier(**PARAMS).fit(X, table)
    assert [list(labels) for labels in model.classes_] == [[1, 2], [5, 9]]


def _mixed(one, other):
    return pd.Series([one if v else other for v in FIRST], dtype=object)


def _gap(values, dtype):
    return pd.array([None, *values[1:]], dtype=dtype)


NOT_LABELS = {
    "continuous": (pd.Series(X[:, 2]), ValueError, "{} is continuous"),
    "infinite": (pd.Series(np.where(FIRST, np.inf, 1)), ValueError, "{} is continuous"),
    "1 and 'x'": (_mixed(1, "x"), TypeError, "{} has labels of several types, number and text"),
    "1 and '1'": (_mixed(1, "1"), TypeError, "{} has labels of several types, number and text"),
    "True and 'x'": (_mixed(True, "x"), TypeError, "{} has labels of several types, bool and text"),
    "True and 2": (_mixed(True, 2), TypeError, "{} has labels of several types, bool and number"),
    "duration and 2": (_mixed(np.timedelta64(1, "D"), 2), TypeError, "{} has labels of .*, number and timedelta64"),
    "tuples": (_mixed((1, 2), (3, 4)), ValueError, "Unknown label type: {} has dtype int"),
    "objects": (_mixed(datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)), ValueError, "{} has dtype object"),
    "complex": (pd.Series(X[:, 2] * 1j), ValueError, "{} has dtype complex128"),
    "NaN": (pd.Series(np.r_[np.nan, ONES[1:]]), ValueError, "Input {} contains NaN .* row 0: .*nan"),
    "None": (pd.Series([*WORDS[1:], None], dtype=object), ValueError, f"Input {{}} contains .* row {N - 1}: None"),
    "NaT": (DAYS.mask(DAYS.index == 3), ValueError, "Input {} contains NaN or other missing .* row 3: .*NaT"),
    "NA of Int64": (_gap(ONES, "Int64"), ValueError, "Input {} contains NaN or other missing"),
    "NA of string": (_gap(WORDS, "string"), ValueError, "Input {} contains NaN or other missing .*<NA>"),
    "NA of boolean": (_gap(FIRST, "boolean"), ValueError, "Input {} contains NaN or other missing"),
    "gap of a category": (pd.Categorical([None, *WORDS[1:]]), ValueError, "Input {} contains NaN or other missing"),
}


@pytest.mark.parametrize("name", NOT_LABELS)
def test_columns_that_are_no_labels_are_refused_by_name(name):
    column, error, message = NOT_LABELS[name]
    table = pd.DataFrame({"a": column, "b": WORDS})
    good = pd.DataFrame({"a": ONES, "b": WORDS})
    model = MLPClassifier(**SHORT)
    for of, fit in (
        ("", lambda: model.fit(X, table)),
        ("", lambda: model.partial_fit(X, table, classes=[[1, 2], ["no", "yes"]])),
        ("_val", lambda: model.fit(X, good, X_val=X, y_val=table)),
        ("", lambda: MLPClassifier(**SHORT).fit(X, good).score(X, table)),
    ):
        with pytest.raises(error, match=message.format(f"column 'a' of y{of}")):
            fit()
    assert vars(model) == vars(MLPClassifier(**SHORT))
    if column.dtype in (object, float):
        with pytest.raises(error, match=message.format(r"y\[:, 1\]")):
            model.fit(X, np.stack([ONES, column], axis=1))


@pytest.mark.parametrize(
    "y",
    [
        np.array([None, *WORDS[1:]], dtype=object),
        [np.nan, *WORDS[1:]],
        [None, *WORDS.tolist()[1:]],
        pd.Series(_gap(WORDS, "string")),
        pd.DataFrame({"a": _gap(WORDS, "string")}),
        pl.Series([None, *WORDS.tolist()[1:]]),
        DAYS.mask(DAYS.index == 0),
    ],
)
def test_missing_labels_of_a_single_output_are_refused(y):
    with pytest.raises(ValueError, match="Input y contains NaN or other missing values, the first in row 0"):
        MLPClassifier(**SHORT).fit(X, y)


# ---- score ----


def test_labels_of_another_type_are_no_wrong_predictions():
    models = {
        "number": MLPClassifier(**SHORT).fit(X, ONES),
        "text": MLPClassifier(**SHORT).fit(X, WORDS),
        "bool": MLPClassifier(**SHORT).fit(X, FIRST),
        "date": MLPClassifier(**SHORT).fit(X, COLUMNS["dates"][0]),
    }
    others = {"numbers": ONES, "text": WORDS, "dates": COLUMNS["dates"][0], "durations": ONES.astype("m8[D]")}
    for of, model in models.items():
        for kind, y in others.items():
            if kind.startswith(of) or (kind, of) == ("numbers", "bool"):
                continue
            for given in (y, y.tolist() if kind in ("numbers", "text") else y, pd.Series(y), y[:, None]):
                with pytest.raises(ValueError, match=f"The labels in y are {kind}, those of the model are "):
                    model.score(X, given)
    score = models["number"].score(X, ONES)
    for y in (ONES * 1.0, ONES.astype(np.int8), ONES.tolist(), pd.Series(ONES, dtype="Int64"), pl.Series(ONES)):
        assert models["number"].score(X, y) == score == (models["number"].predict(X) == ONES).mean()
    assert models["bool"].score(X, FIRST.astype(float)) == (models["bool"].predict(X) == FIRST).mean()
    assert models["text"].score(X, WORDS.astype(object)) == (models["text"].predict(X) == WORDS).mean()


def test_labels_of_another_type_in_columns():
    table = pd.DataFrame({"a": ONES, "b": WORDS})
    model = MLPClassifier(**PARAMS).fit(X, table)
    score = model.score(X, table)
    assert score == (model.predict(X) == table.to_numpy()).all(axis=1).mean() > 0.9
    for y in (table.astype({"a": float}), table.astype({"a": "Int64", "b": "string"}), table.to_numpy().tolist()):
        assert model.score(X, y) == score
    weight = np.where(FIRST, 3.0, 1.0)
    hits = (model.predict(X) == table.to_numpy()).all(axis=1)
    assert model.score(X, table, weight) == pytest.approx(np.average(hits, weights=weight))
    with pytest.raises(ValueError, match=r"The labels in y\[:, 0\] are text, those of the model are numbers"):
        model.score(X, table.astype(str))
    with pytest.raises(ValueError, match=r"The labels in y\[:, 1\] are numbers, those of the model are text"):
        model.score(X, table[["a", "a"]])
    with pytest.raises(ValueError, match="y must be of shape .* got a sparse matrix"):
        model.score(X, sparse.csr_matrix(np.stack([ONES, ONES], axis=1)))
    indicator = MLPClassifier(**SHORT).fit(X, X[:, :2] > 0)
    with pytest.raises(ValueError, match="y must have only 0 and 1"):
        indicator.score(X, np.stack([ONES, ONES], axis=1))
    assert indicator.score(X, pd.DataFrame(X[:, :2] > 0).astype("boolean")) == indicator.score(X, X[:, :2] > 0)


# ---- targets of a regression ----


def _timestamps(values):
    array = np.empty(N, dtype=object)
    array[:] = list(values)
    return array


SPANS = pd.Series(pd.to_timedelta(np.arange(N), "D"))
NOT_NUMBERS = {
    "dates": (DAYS, r"y{} has dtype datetime64\[.s\]"),
    "dates with NaT": (DAYS.mask(DAYS.index == 3), r"y{} has dtype datetime64\[.s\]"),
    "array of dates": (DAYS.to_numpy(), r"y{} has dtype datetime64"),
    "dates of a zone": (DAYS.dt.tz_localize("UTC"), r"y{} has dtype datetime64\[.s, UTC\]"),
    "durations": (SPANS, r"y{} has dtype timedelta64\[.s\]"),
    "durations with NaT": (SPANS.mask(SPANS.index == 3), r"y{} has dtype timedelta64\[.s\]"),
    "frame of dates": (pd.DataFrame({"a": DAYS}), r"column 'a' of y{} has dtype datetime64"),
    "frame with dates": (pd.DataFrame({"a": NUMBERS, "b": DAYS}), r"column 'b' of y{} has dtype datetime64"),
    "objects, dates": (pd.DataFrame({"a": NUMBERS, "b": DAYS}).to_numpy(), r"y{} has dtype object .*Timestamp"),
    "objects, durations": (_timestamps(SPANS.to_numpy()), r"y{} has dtype object .*timedelta64"),
    "objects, NumPy's dates": (_timestamps(DAYS.to_numpy()), r"y{} has dtype object .*datetime64"),
    "objects, NaT": (_timestamps([pd.NaT] * N), r"y{} has dtype object .*NaT"),
    "list of dates": ([datetime.date(2020, 1, 1)] * N, r"y{} has dtype object .*datetime.date"),
    "periods": (DAYS.dt.to_period("D"), r"y{} has dtype period"),
    "Polars' durations": (pl.Series([datetime.timedelta(1)] * N), r"y{} has dtype Duration"),
    "Polars' frame": (pl.DataFrame({"a": NUMBERS, "b": DAYS.tolist()}), r"column 'b' of y{} has dtype Datetime"),
    "complex objects": (_timestamps(NUMBERS * 1j), r"y{} has dtype object"),
}


@pytest.mark.parametrize("name", NOT_NUMBERS)
def test_targets_that_are_no_numbers_are_refused_by_dtype(name):
    y, message = NOT_NUMBERS[name]
    model = MLPRegressor(**SHORT)
    for of, use in (
        ("", lambda: model.fit(X, y)),
        ("", lambda: model.partial_fit(X, y)),
        ("_val", lambda: model.fit(X, NUMBERS, X_val=X, y_val=y)),
        ("_val", lambda: model.partial_fit(X, NUMBERS, X_val=X, y_val=y)),
        ("", lambda: MLPRegressor(**SHORT).fit(X, NUMBERS).score(X, y)),
    ):
        with pytest.raises(TypeError, match=f"{message.format(of)}.*: targets of a regression must be numbers"):
            use()
    assert vars(model) == vars(MLPRegressor(**SHORT))


def test_complex_and_missing_targets_are_refused():
    for y in (NUMBERS * 1j, pd.Series(NUMBERS * 1j), pd.DataFrame({"a": NUMBERS, "b": NUMBERS * 1j})):
        with pytest.raises(ValueError, match="Complex data not supported"):
            MLPRegressor(**SHORT).fit(X, y)
    for y in (_timestamps([None, *NUMBERS[1:]]), pd.array([None, *NUMBERS[1:]], dtype="Float64")):
        with pytest.raises(ValueError, match="Input y contains NaN"):
            MLPRegressor(**SHORT).fit(X, y)


def test_numbers_of_any_kind_are_targets():
    whole = np.arange(N) % 7
    model = MLPRegressor(**SHORT).fit(X, whole)
    decimals = [Decimal(int(value)) for value in whole]
    for y in (decimals, pd.array(whole, dtype="Int64"), whole.astype(object), whole.astype(str).astype(object)):
        assert _same(model, MLPRegressor(**SHORT).fit(X, y))
    two = np.stack([NUMBERS, whole], axis=1)
    model = MLPRegressor(**SHORT).fit(X, two)
    for y in (
        pd.DataFrame({"a": NUMBERS, "b": pd.array(whole, dtype="Int64")}),
        pl.DataFrame({"a": NUMBERS, "b": whole}),
    ):
        assert _same(model, MLPRegressor(**SHORT).fit(X, y))
    bits = _timestamps(np.where(FIRST, np.True_, np.False_))
    assert _same(MLPRegressor(**SHORT).fit(X, FIRST), MLPRegressor(**SHORT).fit(X, bits))


# ---- class weights ----


def test_weights_of_labels_that_a_fold_lacks():
    y = (np.arange(N) >= N * 3 // 4).astype(int)  # of an event that begins late
    scores = {}
    for kind in (MLPClassifier(**SHORT, class_weight={0: 1, 1: 5}), DecisionTreeClassifier(class_weight={0: 1, 1: 5})):
        scores[type(kind)] = cross_val_score(kind, X, y, cv=TimeSeriesSplit(4), error_score="raise")
    np.testing.assert_array_equal(scores[MLPClassifier][:2], scores[DecisionTreeClassifier][:2])  # 1, of one class
    lacking = LABELS != 30
    weight = {10: 2.0, 20: 0.5, 30: 9.0}
    model = MLPClassifier(**SHORT, class_weight=weight).fit(X[lacking], LABELS[lacking])
    expected = compute_sample_weight({10: 2.0, 20: 0.5}, LABELS[lacking])
    assert _same(model, MLPClassifier(**SHORT).fit(X[lacking], LABELS[lacking], expected))


@pytest.mark.parametrize("given", [{10: 2.0, 2: 9.0}, {"10": 1, "20": 1, "30": 1}])
def test_a_weight_of_no_label_is_refused_where_a_label_has_none(given):
    for fit in (
        lambda model: model.fit(X, LABELS),
        lambda model: model.partial_fit(X[LABELS != 30], LABELS[LABELS != 30], classes=[10, 20, 30]),
    ):
        with pytest.raises(ValueError, match="class_weight={.*} does not go with the classes .10 20 30.: .*20, 30"):
            fit(MLPClassifier(**SHORT, class_weight=given))
    whole = MLPClassifier(**SHORT, class_weight={10: 2.0, 20: 1, 30: 1, 40: 9.0})
    assert _same(whole.fit(X, LABELS), MLPClassifier(**SHORT, class_weight={10: 2.0}).fit(X, LABELS))


def test_weights_of_several_outputs_that_lack_labels():
    y = np.stack([LABELS, ONES], axis=1)
    given = [{10: 2.0, 20: 1.0, 30: 0.5, 40: 7.0}, {1: 3.0, 2: 1.0, 3: 9.0}]
    product = compute_sample_weight(given[0], LABELS) * compute_sample_weight(given[1], ONES)
    model = MLPClassifier(**SHORT, class_weight=given).fit(X, y)
    assert _same(model, MLPClassifier(**SHORT).fit(X, y, product))


@pytest.mark.parametrize("sparse_y", [False, True])
def test_balanced_with_a_label_that_all_or_none_have(sparse_y):
    y = np.stack([FIRST, np.zeros(N), np.ones(N)], axis=1).astype(int)
    given = sparse.csr_matrix(y * 5) if sparse_y else y
    model = MLPClassifier(**SHORT, class_weight="balanced").fit(X, given, X_val=X, y_val=given)
    weight = compute_sample_weight("balanced", y)
    assert _same(model, MLPClassifier(**SHORT).fit(X, y, weight))
    losses = [
        log_loss(bits, p, labels=[0, 1], sample_weight=weight)
        for bits, p in zip(y.T, model.predict_proba(X).T, strict=True)
    ]
    assert model.validation_loss_curve_[-1] == pytest.approx(sum(losses))


def test_balanced_with_a_column_of_one_label():
    y = np.stack([LABELS, np.full(N, 5)], axis=1)
    model = MLPClassifier(**SHORT, class_weight=["balanced", "balanced"]).fit(X, y)
    assert _same(model, MLPClassifier(**SHORT).fit(X, y, compute_sample_weight("balanced", LABELS)))
