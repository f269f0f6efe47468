"""Each rule of the encoding by the number that must come out, and the same numbers from tables of all kinds."""

import copy
import datetime as dt
import math
import pickle
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from fastmlp.data.summaries import TableSummary
from fastmlp.data.tables import TableEncoder
from fastmlp.data.windows import is_drawn

rng = np.random.default_rng(0)


def clip(x):
    return x / np.sqrt(1 + np.square(np.asarray(x, dtype=float) / 3))


def encoder(X, **params):
    """Fitted, without pooling unless that is asked for."""
    rows = params.pop("rows", None)
    return TableEncoder(**{"min_frequency": 1, **params}).fit(X, rows)


def numbers(values, **params):
    """The numbers of a table of one column, row by row."""
    return encoder({"a": values}, **params).transform({"a": values})[0].T.tolist()


def state(fitted):
    """What a fitted encoder is, to the last bit."""
    with np.printoptions(precision=17, threshold=10**9):
        return repr(fitted.state())


def codes(fitted, values):
    return fitted.transform({"a": values})[1][:, 0].tolist()


def close(expected):
    return pytest.approx(np.asarray(expected).tolist(), abs=1e-6)


# numbers


def test_numbers_are_centred_scaled_and_clipped():
    assert numbers([0.0, 1, 2, 3, 100])[0] == close(clip([-1, -0.5, 0, 0.5, 49]))
    # quartiles are the same: 2 / range
    assert numbers([5.0, 5, 5, 5, 5, 5, 5, 9])[0] == close(clip([0, 0, 0, 0, 0, 0, 0, 2]))
    assert numbers([5.0, 5, 5])[0] == [0, 0, 0]
    # differences by rounding are none
    assert numbers([0.1 + 0.2, 0.3, 0.1 + 0.2, 0.3])[0] == close([0, 0, 0, 0])


def test_numbers_of_any_size():
    fitted = encoder(np.array([[0.0], [1], [2]]))
    x = np.array([[1e300], [-1e300], [1.7e308], [1 + 1e9]])
    assert fitted.transform(x)[0].ravel().tolist() == [3, -3, 3, 3]
    assert np.isfinite(numbers([1.7e308, -1.7e308, 0])).all()
    assert np.isfinite(numbers([5e-324, 0, 0, 0, 0])).all()


def test_gaps():
    got = numbers([0.0, 1, None, 3, 4])
    assert got[0] == close(clip(np.array([-2, -1, 0, 1, 2]) / 2.5))
    # a 0/1 column of 1 in 5: quartiles 0, so that a gap is 2 / range
    assert got[1] == close(clip([0, 0, 2, 0, 0]))
    fitted = encoder({"a": [0.0, 1, 2]})
    assert fitted.number_names_ == ["a"]
    assert fitted.transform({"a": [None, 1.0]})[0].tolist() == [[0], [0]]


def test_gaps_of_constants():
    assert numbers([7.0, None, 7.0, 7.0, 7.0]) == [[0] * 5, close(clip([0, 2, 0, 0, 0]))]


@pytest.mark.parametrize("nothing", [[None, None], [math.nan, math.nan], np.array([np.nan, np.nan])])
def test_columns_without_a_value(nothing):
    fitted = encoder({"a": nothing})
    assert fitted.columns_[0].role == "empty"
    for later in (nothing, [1.0, 2.0], ["x", "y"], [dt.date(2024, 1, 1), None]):
        assert fitted.transform({"a": later})[0].tolist() == [[0], [0]]


def test_infinity_is_refused_by_name():
    fitted = encoder({"a": [1.0, 2], "b": [1.0, 2], "c": ["x", "y"]})
    for bad in ([math.inf, 1], [1, -math.inf], [1.0] * 50 + [math.inf]):
        with pytest.raises(ValueError, match="Column 'b' contains infinity"):
            fitted.transform({"a": [1.0] * len(bad), "b": bad, "c": ["x"] * len(bad)})
        with pytest.raises(ValueError, match="Column 'b' contains infinity"):
            encoder({"a": [1.0] * len(bad), "b": bad})


# dates


def test_dates():
    days = [dt.datetime(2024, 1, 1, 6), dt.datetime(2024, 1, 31, 12), None, dt.datetime(2025, 3, 2, 18)]
    fitted = encoder({"when": days})
    assert fitted.number_names_ == [
        "when: days",
        "when: year",
        "when: month",
        "when: day of week",
        "when: hour",
        "when: missing",
    ]
    # Monday, Wednesday, Sunday
    for name, values in (("year", [2024, 2024, 2025]), ("month", [1, 1, 3]), ("day of week", [0, 2, 6])):
        j = fitted.number_names_.index(f"when: {name}")
        q25, q50, q75 = np.quantile(values, [0.25, 0.5, 0.75])
        expected = clip((np.array([*values[:2], q50, values[2]]) - q50) / (q75 - q25))
        assert fitted.transform({"when": days})[0][:, j].tolist() == close(expected)
    hour = fitted.number_names_.index("when: hour")
    assert fitted.columns_[0].center[hour] == 12
    assert fitted.columns_[0].center[0] == (dt.datetime(2024, 1, 31, 12) - dt.datetime(1970, 1, 1)) / dt.timedelta(1)


def test_fields_of_dates_that_do_not_vary_are_left_out():
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 8)]
    assert encoder({"when": days}).number_names_ == ["when: days"]
    assert encoder({"when": [days[0], days[0]]}).transform({"when": days})[0].tolist() == [[0], [0]]


def test_dates_before_1970():
    fitted = encoder({"when": [dt.datetime(1969, 12, 31, 23), dt.datetime(1968, 2, 29, 1)]})
    assert fitted.columns_[0].center.tolist() == pytest.approx([-336, 1968.5, 7, 2.5, 12], rel=1e-12)


def test_dates_as_texts_and_with_time_zones():
    days = [dt.datetime(2024, month, 3, hour) for month in range(1, 13) for hour in (1, 13)]
    fitted = encoder({"when": days})
    expected = fitted.transform({"when": days})[0]
    zone = dt.timezone(dt.timedelta(hours=5))
    for same in (
        [day.isoformat() for day in days],
        [day.replace(tzinfo=dt.UTC).astimezone(zone) for day in days],
        [day.replace(tzinfo=dt.UTC).astimezone(zone).isoformat() for day in days],
        np.array(days, dtype="M8[s]"),
    ):
        assert np.array_equal(fitted.transform({"when": same})[0], expected)
    with pytest.raises(ValueError, match="Column 'when' has dates where the model was fitted, but numbers here"):
        fitted.transform({"when": [1, 2]})
    with pytest.raises(ValueError, match="Column 'when' has dates where the model was fitted, but 'soon' here"):
        fitted.transform({"when": ["soon"]})


# levels


def test_two_levels_are_one_number():
    fitted = encoder({"a": ["x", "y", "y", "x"]})
    assert fitted.columns_[0].role == "binary" and fitted.transform({"a": ["x"]})[1].shape == (1, 0)
    assert fitted.transform({"a": ["x", "y", None, "z"]})[0].ravel().tolist() == close(clip([-0.5, 0.5, 0, 0]))
    # one in five: the quartiles are those of the majority
    fitted = encoder({"a": [False, False, True, False, False]})
    assert fitted.transform({"a": [False, True, None]})[0].ravel().tolist() == close(clip([0, 2, 1]))
    # missing values are 0 beside -1 and 1: median -1, quartiles -1 and 0
    fitted = encoder({"a": ["x", None, "y", "x", "x"]})
    assert fitted.transform({"a": ["x", None, "y"]})[0].ravel().tolist() == close(clip([0, 1, 2]))


def test_bools():
    fitted = encoder({"a": [True, False, True]})
    assert fitted.columns_[0].levels == ["False", "True"]
    low, high = fitted.transform({"a": [False, True]})[0].ravel()
    for same in (["False", "True"], [0, 1], [0.0, 1.0], ["0", "1"], np.array([False, True])):
        assert fitted.transform({"a": same})[0].ravel().tolist() == [low, high]
    zero_one = encoder({"a": [0, 1, 1]}, categorical_features=["a"])
    assert zero_one.transform({"a": [False, True]})[0].tolist() == zero_one.transform({"a": [0, 1]})[0].tolist()
    both = encoder({"a": ["1", "True", "x"]})
    assert codes(both, ["1", 1, True, "True"]) == [0, 0, 1, 1]


def test_levels_have_codes_in_ascending_order():
    fitted = encoder({"a": ["c", "a", "b", "a"]})
    assert fitted.columns_[0].levels == ["a", "b", "c"]
    assert codes(fitted, ["a", "b", "c", "d", None]) == [0, 1, 2, -1, -1]
    mixed = encoder({"a": [10, 9, 0.5, "1e1"]}, categorical_features=["a"])
    assert mixed.columns_[0].levels == ["0.5", "9", "10", "1e1"]
    assert encoder({"a": ["10", "9", "x"]}).columns_[0].levels == ["10", "9", "x"]
    assert encoder({"a": ["10", "9", "nan"]}).columns_[0].levels == ["10", "9", "nan"]


def test_levels_are_keyed_by_value():
    fitted = encoder({"a": [3, 1, 2, 3]}, categorical_features=["a"])
    for same in ([1, 2, 3], [1.0, 2.0, 3.0], ["1", "2", "3"]):
        assert codes(fitted, same) == codes(fitted, np.array(same)) == [0, 1, 2]
    assert codes(fitted, ["1.0", 2.5, "x"]) == [-1, -1, -1]


def test_missing_values_are_a_level_where_training_has_some():
    fitted = encoder({"a": ["x", None, "y", "z"]})
    assert fitted.n_levels_.tolist() == [4] and fitted.columns_[0].missing
    assert codes(fitted, ["z", None, "other", math.nan]) == [2, 3, -1, 3]
    nothing = encoder({"a": [None, None]}, categorical_features=["a"])
    assert nothing.n_levels_.tolist() == [1] and codes(nothing, [None, "x"]) == [0, -1]
    one = encoder({"a": ["x", "x"]})
    assert one.n_levels_.tolist() == [1] and codes(one, ["x", None, "y"]) == [0, -1, -1]


def test_rare_levels_are_one_that_unseen_levels_share():
    values = ["a"] * 5 + ["b"] * 4 + ["c", "d", None]
    fitted = encoder({"a": values + ["e"] * 3}, min_frequency=2)
    column = fitted.columns_[0]
    assert (column.levels, column.pooled, column.missing, column.n_levels) == (["a", "b", "e"], True, True, 5)
    assert codes(fitted, ["a", "b", "e", "c", "d", "unseen", None]) == [0, 1, 2, 3, 3, 3, 4]
    # without missing values in training they are unseen
    fitted = encoder({"a": [value for value in values if value] + ["e"] * 3}, min_frequency=2)
    assert codes(fitted, ["c", None, "unseen"]) == [3, 3, 3]
    # two that are left are one number
    fitted = encoder({"a": ["x"] * 8 + ["y", "z"]}, min_frequency=2)
    assert fitted.transform({"a": ["x", "y", "unseen"]})[0].ravel().tolist() == close(clip([0, 2, 2]))
    # and two that were there are both kept
    assert encoder({"a": ["x"] * 8 + ["y"]}, min_frequency=2).columns_[0].levels == ["x", "y"]


@pytest.mark.parametrize(
    "min_frequency, n_rows, least",
    [("auto", 100, 2), ("auto", 25_000, 5), ("auto", 10**6, 10), (3, 100, 3), (np.int64(3), 100, 3), (0.05, 110, 6)],
)
def test_least_count(min_frequency, n_rows, least):
    column = np.full(n_rows, 2)
    column[:least] = 1
    column[least : 2 * least - 1] = 0
    column = np.repeat(column, 1)
    fitted = encoder({"a": column}, min_frequency=min_frequency, categorical_features=[0])
    assert fitted.columns_[0].levels == ["1", "2"] and fitted.columns_[0].pooled


def test_constants_of_onehot_columns():
    values = ["a"] * 5 + ["b"] * 3 + ["c"] * 1 + [None] * 1
    fitted = encoder({"a": values})
    off, on = fitted.columns_[0].constants
    for j, level in enumerate(["a", "b", "c", None]):
        column = np.array([value == level for value in values], dtype=float)
        q25, q50, q75 = np.quantile(column, [0.25, 0.5, 0.75])
        scale = 1 / (q75 - q25) if q75 > q25 else 2
        assert [off[j], on[j]] == close(clip((np.array([0, 1]) - q50) * scale))


def test_small_columns_come_first():
    n = 40
    fitted = encoder(
        {
            "large": [f"{i % 9}" for i in range(n)],
            "small": [f"{i % 8}" for i in range(n)],
            "two": [f"{i % 2}" for i in range(n)],
            "x": [float(i) for i in range(n)],
            "y": [None, *range(1, n)],
        }
    )
    assert [column.role for column in fitted.columns_] == ["embedding", "onehot", "binary", "number", "number"]
    assert [column.name for column in fitted.code_columns_] == ["small", "large"]
    assert (fitted.n_onehot_, fitted.n_levels_.tolist()) == (1, [8, 9])
    assert fitted.number_names_ == ["x", "y", "two", "y: missing"] and fitted.n_continuous_ == 2
    few = {"large": ["8"], "small": ["7"], "two": ["1"], "x": [0.0], "y": [None]}
    assert fitted.transform(few)[1].tolist() == [[7, 8]]
    assert encoder({"a": list("abc")}, max_onehot_levels=3).n_onehot_ == 0
    assert encoder({"a": list("abc")}, max_onehot_levels=4).n_onehot_ == 1


def test_ordered_categories_keep_their_order():
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    order = ["none", "low", "mid", "high"]
    values = ["mid", "low", "high", None, "low"]
    for column in (pd.Series(pd.Categorical(values, order, ordered=True)), pl.Series(values, dtype=pl.Enum(order))):
        fitted = encoder({"a": column})
        assert fitted.columns_[0].ordered and fitted.columns_[0].levels == ["low", "mid", "high"]
        assert codes(fitted, values) == [1, 0, 2, 3, 0]
    unordered = encoder({"a": pd.Series(pd.Categorical(values, order))})
    assert not unordered.columns_[0].ordered and unordered.columns_[0].levels == ["high", "low", "mid"]


def test_codes_of_other_categories():
    """The categories of a dtype may differ between calls."""
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    fitted = encoder({"a": pd.Series(list("abc"), dtype="category")})
    assert codes(fitted, pd.Series(list("cb"), dtype="category")) == [2, 1]
    assert codes(fitted, pd.Series(pd.Categorical(["c", None], categories=[*"zyxc"]))) == [2, -1]
    other = pl.Series("other", list("zyxwc"), dtype=pl.Categorical)
    assert codes(fitted, pl.Series(["c", "a"], dtype=pl.Categorical)) == [2, 0]
    assert codes(fitted, other) == [-1, -1, -1, -1, 2]


def test_many_levels():
    n = 100_000
    values = np.arange(n).astype(str).astype(object)
    fitted = encoder({"a": values})
    assert fitted.n_levels_.tolist() == [n]
    assert codes(fitted, values) == [*range(n)]
    assert codes(fitted, ["99999", "0", "100000"]) == [99_999, 0, -1]
    # each is rare
    fitted = encoder({"a": values}, min_frequency="auto")
    assert fitted.n_levels_.tolist() == [1] and len(pickle.dumps(fitted)) < 1500
    assert fitted.columns_[0].constants.tolist() == [[0], [0]]


# which columns hold levels


def test_which_columns_hold_levels():
    X = {"s": ["1", "2", "3"], "i": [1, 2, 3], "f": [0.5, 1, 2], "b": [True, False, True], "o": [1, "x", None]}

    def held(categorical_features):
        fitted = encoder(X, categorical_features=categorical_features)
        return [column.name for column in fitted.columns_ if column.role not in ("number", "date")]

    assert held("from_dtype") == ["s", "b", "o"]
    del X["o"]
    assert held(None) == held([]) == []
    assert held(["i", "s"]) == held(np.array(["s", "i"])) == held([1, 0]) == held(np.array([0, 1])) == ["s", "i"]
    assert held([True, False, False, True]) == held(np.array([True, False, False, True])) == ["s", "b"]
    assert encoder(X, categorical_features=None).transform(X)[0][:, 0].tolist() == close(clip([-1, 0, 1]))


@pytest.mark.parametrize(
    "params, message",
    [
        ({"categorical_features": "all"}, "categorical_features must be 'from_dtype', None, or an array-like"),
        ({"categorical_features": [1.5]}, "categorical_features must be 'from_dtype', None, or an array-like"),
        ({"categorical_features": [[0]]}, "categorical_features must be 'from_dtype', None, or an array-like"),
        ({"categorical_features": [True]}, "categorical_features has 1 bools, but X has 2 features"),
        ({"categorical_features": [2]}, "categorical_features must be positions in [0, 1], got 2"),
        ({"categorical_features": [-1]}, "categorical_features must be positions in [0, 1], got -1"),
        ({"categorical_features": ["c"]}, "categorical_features has 'c', which is no column of X"),
        ({"categorical_features": None}, "Column 'b' is numeric, and has 'x': could not convert string to float"),
        ({"categorical_features": ["a"]}, "Column 'b' is numeric, and has 'x': could not convert string to float"),
        ({"min_frequency": 0}, "min_frequency must be 'auto', an integer >= 1 or a float in (0, 1), got 0"),
        ({"min_frequency": 1.0}, "min_frequency must be 'auto', an integer >= 1 or a float in (0, 1), got 1.0"),
        ({"min_frequency": True}, "min_frequency must be 'auto', an integer >= 1 or a float in (0, 1), got True"),
        ({"max_onehot_levels": -1}, "max_onehot_levels must be an integer >= 0, got -1"),
        ({"max_onehot_levels": 2.5}, "max_onehot_levels must be an integer >= 0, got 2.5"),
        ({"rows": []}, "rows must be at least one row of X"),
    ],
)
def test_parameters_are_refused(params, message):
    X = {"a": [1, 2], "b": ["x", "y"]}
    fitted = encoder(X)
    before = state(fitted)
    rows = params.pop("rows", None)
    changed = copy.copy(fitted)
    for name, value in params.items():
        setattr(changed, name, value)
    with pytest.raises(ValueError, match=re.escape(message)):
        changed.fit(X, None if rows is None else np.array(rows, dtype=int))
    assert changed.columns_[0].center.tolist() == [1.5]
    assert state(fitted) == before


def test_names_need_names():
    with pytest.raises(ValueError, match="categorical_features has names, ..a.., but the columns of X have none"):
        encoder([[1, 2]], categorical_features=["a"])
    with pytest.raises(ValueError, match="Column 'a' is categorical, and has dates or times"):
        encoder({"a": [dt.date(2024, 1, 1)]}, categorical_features=["a"])


# training rows


@pytest.mark.parametrize("rows", [np.arange(4), np.array([True] * 4 + [False] * 3)])
def test_only_training_rows_are_learned_from(rows):
    X = {"x": [0.0, 1, 2, 3, 1e6, None, 5], "c": ["a", "b", "c", "a", "d", None, "b"]}
    fitted = TableEncoder(min_frequency=1)
    got = fitted.fit_transform(X, rows)
    alone = encoder({name: column[:4] for name, column in X.items()})
    assert state(fitted) == state(alone)
    expected = alone.transform(X)
    assert np.array_equal(got[0], expected[0]) and np.array_equal(got[1], expected[1])
    assert got[0].shape == (7, 1) and got[1][:, 0].tolist() == [0, 1, 2, 0, -1, -1, 1]


def test_not_fitted():
    with pytest.raises(NotFittedError, match="This Table is not fitted yet|This Table instance is not fitted yet"):
        TableEncoder(estimator="Table").transform([[1]])


# names


def test_columns_are_matched_by_name():
    X = {"a": [1.0, 2, 4], "b": ["x", "y", "z"]}
    fitted = encoder(X)
    assert fitted.feature_names_in_.tolist() == ["a", "b"] and fitted.n_features_in_ == 2
    expected = fitted.transform(X)
    for other in ({"b": X["b"], "a": X["a"]}, [{"b": b, "a": a} for a, b in zip(*X.values(), strict=True)]):
        got = fitted.transform(other)
        assert np.array_equal(got[0], expected[0]) and np.array_equal(got[1], expected[1])
    for bad, message in (
        ({"a": [1.0]}, "seen at fit time, yet now missing:\n- b\n"),
        ({"a": 1.0}, "seen at fit time, yet now missing:\n- b\n"),
        ({"a": [1.0], "b": ["x"], "c": [1]}, "unseen at fit time:\n- c\n"),
        ({"a": 1.0, "c": "x"}, "unseen at fit time:\n- c\nFeature names seen at fit time, yet now missing:\n- b\n"),
        (dict.fromkeys("abcdefgh", 1), "unseen at fit time:\n- c\n- d\n- e\n- f\n- g\n- ...\n"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            fitted.transform(bad)


def test_tables_without_names():
    named, unnamed = encoder({"a": [1.0, 2, 4], "b": [1.0, 2, 3]}), encoder([[1.0, 1], [2, 2], [4, 3]])
    assert not hasattr(unnamed, "feature_names_in_")
    for X in ([[2.0, 1]], np.array([[2.0, 1]]), np.array([[2.0, 1]] * 100)):
        with pytest.warns(UserWarning, match="X does not have valid feature names, but TableEncoder was fitted with"):
            assert named.transform(X)[0][0].tolist() == unnamed.transform(X)[0][0].tolist()
    with pytest.warns(UserWarning, match="X has feature names, but TableEncoder was fitted without feature names"):
        assert unnamed.transform({"p": 2.0, "q": 1})[0].tolist() == [[0, close(clip(-1.0))]]
    for X in ([[1.0]], np.ones((1, 3)), np.ones((50, 3)), {"a": [1], "b": [2], "c": [3]}):
        n = len(X) if isinstance(X, dict) else len(X[0])
        with pytest.raises(ValueError, match=f"X has {n} features, but TableEncoder is expecting 2 features as input"):
            unnamed.transform(X)


def test_names_that_are_no_strings():
    pd = pytest.importorskip("pandas")
    plain = pd.DataFrame([[1.0, 5], [2, 6], [4, 7]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = encoder(plain)
        assert not hasattr(fitted, "feature_names_in_")
        assert np.array_equal(fitted.transform(plain)[0], fitted.transform(plain.to_numpy())[0])
        assert np.array_equal(fitted.transform(plain.iloc[[1]])[0], fitted.transform(plain)[0][[1]])
    years = plain.set_axis([2024, 2023], axis=1)
    fitted = encoder(years, categorical_features=None)
    assert np.array_equal(fitted.transform(years[[2023, 2024]])[0], fitted.transform(years)[0])
    with pytest.raises(ValueError, match="unseen at fit time:\n- 2022"):
        fitted.transform(years.rename(columns={2023: 2022}))
    twofold = plain.set_axis(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), axis=1)
    assert encoder(twofold).number_names_ == ["('a', 1)", "('b', 2)"]


def test_other_values_are_refused_by_name():
    fitted = encoder({"a": [1.0, 2], "b": ["x", "y"]})
    for bad, message in (
        ({"a": "one", "b": "x"}, "Column 'a' is numeric, and has 'one'"),
        ({"a": ["one"], "b": ["x"]}, "Column 'a' is numeric, and has 'one'"),
        ({"a": [dt.date(2024, 1, 1)], "b": ["x"]}, "Column 'a' has numbers where the model was fitted, but dates here"),
        ({"a": [1], "b": [dt.date(2024, 1, 1)]}, "Column 'b' is categorical, and has dates or times"),
        ({"a": [1], "b": [b"x"]}, "Column 'b' has a value of type bytes"),
        ({"a": 1, "b": b"x"}, "Column 'b' has a value of type bytes"),
        ({"a": 1j, "b": "x"}, "Complex data not supported: Column 'a'"),
        ({"a": 10**400, "b": "x"}, "Column 'a' has an integer beyond float64"),
    ):
        with pytest.raises((ValueError, TypeError), match=re.escape(message)):
            fitted.transform(bad)
    assert fitted.transform({"a": ["1.5"], "b": ["x"]})[0][0, 0] == 0


# the same of all tables


def frames_of(columns):
    """Columns as tables of all kinds."""
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    names, lists = [*columns], [*columns.values()]
    rows = [*zip(*lists, strict=True)]
    objects = np.empty((len(rows), len(names)), dtype=object)
    for j, column in enumerate(lists):
        objects[:, j] = column
    strings = [name for name in names if name.startswith("s")]
    pandas, polars = pd.DataFrame(columns), pl.DataFrame(columns, strict=False)
    tables = {
        "columns": columns,
        "rows": [dict(zip(names, row, strict=True)) for row in rows],
        "pandas": pandas,
        "pandas objects": pd.DataFrame(columns, dtype=object),
        "pandas category": pandas.astype(dict.fromkeys(strings, "category")),
        "pandas nullable": pandas.convert_dtypes(),
        "polars": polars,
        "polars categorical": polars.with_columns(pl.col(strings).cast(pl.Categorical)) if strings else polars,
        "objects": objects,
        "lists": [list(row) for row in rows],
    }
    try:
        import pyarrow as pa
    except ImportError:
        return tables
    arrow = pa.table(columns)
    return tables | {
        "arrow": arrow,
        "arrow dictionaries": pa.table(
            {name: arrow[name].dictionary_encode() if name in strings else arrow[name] for name in names}
        ),
        "pandas of arrow": arrow.to_pandas(types_mapper=pd.ArrowDtype),
    }


moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))
VALUES = {
    "x": st.floats(allow_nan=False, allow_infinity=False, width=64),
    "n": st.integers(-(2**53), 2**53),
    "s": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3),
    "t": st.sampled_from(["red", "green", "blue", "3", "3.0", "True"]),
    "b": st.booleans(),
    "d": moments,
}


@st.composite
def tables(draw):
    n = draw(st.integers(1, 40))
    columns = {}
    for i, kind in enumerate(draw(st.lists(st.sampled_from([*VALUES]), min_size=1, max_size=5))):
        gaps = draw(st.booleans())
        value = VALUES[kind]
        column = draw(st.lists(st.none() | value if gaps else value, min_size=n, max_size=n))
        if all(one is None for one in column):
            column[0] = draw(value)
        columns[f"{'s' if kind in 'st' else kind}{i}"] = column
    return columns


@settings(max_examples=40)
@given(tables(), st.sampled_from([1, 2, "auto"]), st.randoms(use_true_random=False))
def test_all_tables_give_the_same(columns, min_frequency, random):
    named = encoder(columns, min_frequency=min_frequency)
    numbers, codes = named.transform(columns)
    assert numbers.dtype == np.float32 and codes.dtype == np.int32 and numbers.flags.c_contiguous
    assert np.isfinite(numbers).all() and (np.abs(numbers) <= 3).all()
    assert (codes < named.n_levels_).all() and (codes >= -1).all()
    for name, X in frames_of(columns).items():
        fitted = encoder(X, min_frequency=min_frequency)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names
            for one, rows in ((named, X), (fitted, X), (fitted, columns)):
                got = one.transform(rows)
                assert np.array_equal(got[0], numbers) and np.array_equal(got[1], codes), name
        assert [vars(a).get("levels") for a in fitted.columns_] == [vars(a).get("levels") for a in named.columns_]
    order = [*range(len(numbers))]
    random.shuffle(order)
    shuffled = {name: [column[i] for i in order] for name, column in columns.items()}
    assert state(encoder(shuffled, min_frequency=min_frequency)) == state(named)


@pytest.mark.parametrize("n", [3, 40, 2000])
def test_a_zero_with_a_sign_is_zero(n):
    rng = np.random.default_rng(0)
    values = np.where(rng.random(n) < 0.5, 0.0, -0.0)
    values[:2] = -1, 1
    states = {state(encoder({"a": rng.permutation(values).tolist()})) for _ in range(8)}
    assert len(states) == 1 and "-0." not in states.pop()


@settings(max_examples=40)
@given(tables(), tables())
def test_a_row_gives_what_it_gives_among_others(columns, more):
    """Bit for bit, though few rows go another way than many."""
    fitted = encoder(columns, min_frequency="auto")
    columns = {name: (column * 80)[: max(len(column), 65)] for name, column in columns.items()}
    numbers, codes = fitted.transform(columns)
    for X in frames_of(columns).values():
        for i in (0, len(numbers) - 1):
            if isinstance(X, dict):
                row = {name: column[i] for name, column in X.items()}
                rows = [row, {name: [value] for name, value in row.items()}]
            elif hasattr(X, "iloc"):
                rows = [X.iloc[[i]]]
            elif hasattr(X, "slice"):
                rows = [X.slice(i, 1)]
            else:
                rows = [X[i : i + 1]]
            for row in rows:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    got = fitted.transform(row)
                assert got[0].tobytes() == numbers[i].tobytes() and got[1].tobytes() == codes[i].tobytes()


@pytest.mark.parametrize("dtype", ["int64", "Int64"])
def test_large_integers_beside_floats(dtype):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"id": [2**53, 2**53 + 1, 2**53 + 2], "x": [0.5, 1, 2]})
    X = X.astype({"id": dtype, "x": "Float64" if dtype == "Int64" else "float64"})
    fitted = encoder(X, categorical_features=["id"])
    for i in range(3):
        assert fitted.transform(X.iloc[[i]])[1].tolist() == [[i]]


def test_few_rows_give_what_they_give_among_many():
    X = {"x": [None, *range(99)], "a": [f"{i % 12}" for i in range(100)], "b": [i % 3 == 0 for i in range(100)]}
    X["d"] = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=7 * i) for i in range(100)]
    fitted = encoder(X)
    numbers, codes = fitted.transform(X)
    for table in frames_of(X).values():
        for n in (2, 63, 64, 65):
            few = {name: column[:n] for name, column in table.items()} if isinstance(table, dict) else table[:n]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                got = fitted.transform(few)
            assert got[0].tobytes() == numbers[:n].tobytes() and got[1].tobytes() == codes[:n].tobytes()


def test_numbers_of_numpy_give_the_same_row_by_row():
    X = rng.standard_normal((5000, 7)) * 10.0 ** rng.integers(-3, 4, 7)
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    for dtype in (np.float64, np.float32):
        fitted = encoder(X.astype(dtype))
        numbers, _ = fitted.transform(X.astype(dtype))
        assert numbers.shape == (5000, 14)
        for i in (0, 17, 2047, 2048, 4999):
            assert fitted.transform(X[[i]].astype(dtype))[0].tobytes() == numbers[i].tobytes()
        assert fitted.transform(X[100:160].astype(dtype))[0].tobytes() == numbers[100:160].tobytes()
        assert fitted.transform(np.asfortranarray(X.astype(dtype)))[0].tobytes() == numbers.tobytes()


class Estimator(ClassifierMixin, BaseEstimator):
    """The least that is an estimator of tables."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X, y):
        table = TableEncoder(estimator="Estimator")
        numbers, _ = table.fit_transform(X)
        y = column_or_1d(y, warn=True)
        check_consistent_length(numbers, y)
        self.model_ = LogisticRegression().fit(numbers, y)
        self.table_, self.classes_ = table, self.model_.classes_
        self.n_features_in_ = table.n_features_in_
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.model_.predict(self.table_.transform(X)[0])

    def predict_proba(self, X):
        check_is_fitted(self)
        return self.model_.predict_proba(self.table_.transform(X)[0])


@parametrize_with_checks([Estimator()])
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


def test_levels_that_are_numbers_give_the_same_row_by_row():
    X = rng.integers(-3, 9, (200, 3)) * np.array([1.0, 0.5, 2.0**60])
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    for dtype in (np.float64, np.float32, object):
        fitted = encoder(X.astype(dtype), categorical_features=[0, 1, 2])
        _, codes = fitted.transform(X.astype(dtype))
        assert codes.max(axis=0).tolist() == [12, 12, 12]
        for i in range(20):
            assert fitted.transform(X[[i]].astype(dtype))[1].tobytes() == codes[i].tobytes()


# state


def big(n):
    return {
        "x": rng.standard_normal(n),
        "gap": np.where(rng.uniform(size=n) < 0.3, np.nan, 1.0),
        "c": np.array(list("abcdefghijklmn"))[np.arange(n) % 14],
        "b": np.arange(n) % 2 == 0,
        "d": np.datetime64("2024-01-01") + np.arange(n) % 500,
    }


def test_pickles():
    sizes = []
    for n in (1000, 100_000):
        X = big(n)
        fitted = encoder(X)
        text = pickle.dumps(fitted)
        sizes.append(len(text))
        again = pickle.loads(text)
        for one in (again, copy.deepcopy(fitted), TableEncoder.from_state(fitted.state())):
            assert vars(one).keys() == vars(fitted).keys()
            got, expected = one.transform(X), fitted.transform(X)
            assert np.array_equal(got[0], expected[0]) and np.array_equal(got[1], expected[1])
            assert state(one) == state(fitted)
    assert abs(sizes[0] - sizes[1]) < 100
    unfitted = pickle.loads(pickle.dumps(TableEncoder(min_frequency=3)))
    assert unfitted.min_frequency == 3 and not hasattr(unfitted, "columns_")


def test_state_is_data():
    def plain(value):
        if isinstance(value, dict):
            return all(type(key) is str and plain(one) for key, one in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return (
            value is None
            or type(value) in (str, int, float, bool)
            or (type(value) is np.ndarray and value.dtype in (np.float64, bool))
        )

    assert plain(encoder(big(100)).state())
    assert plain(encoder(big(100), categorical_features=np.array([2, 3])).state())


def test_a_second_fit_leaves_nothing_of_the_first():
    fitted = encoder({"a": ["x", "y", "z"]})
    fitted.fit([[1.0], [2.0]])
    assert not hasattr(fitted, "feature_names_in_")
    assert (fitted.n_levels_.tolist(), fitted.number_names_) == ([], ["0"])
    before = state(fitted)
    with pytest.raises(TypeError):
        fitted.fit({"a": [1.0], "b": [b"x"]})
    assert state(fitted) == before


def test_knots():
    rng = np.random.default_rng(0)
    few = rng.integers(0, 7, 500)
    half = np.where(rng.uniform(size=5000) < 0.6, 0.0, rng.exponential(size=5000))
    X = {"few": few, "half": half, "constant": np.ones(500), "smooth": rng.normal(size=500)}
    X = {name: np.resize(values, 5000) for name, values in X.items()}
    fitted = encoder(X)
    numbers = fitted.transform(X)[0]
    knots = fitted.knots_
    for j, own in enumerate(knots):
        assert own.dtype == np.float32 and (np.diff(own) > 0).all() and len(own) <= 49
        assert own[0] == numbers[:, j].min() and own[-1] == numbers[:, j].max()
    assert [len(own) for own in knots] == [7, 49, 1, 49]
    # zero, the least value, is an edge of its own; the rows that are left are shared equally
    at_zero = numbers[:, 1].min()
    rest = numbers[numbers[:, 1] > at_zero, 1]
    counts = np.histogram(rest, knots[1][1:])[0]
    assert len(counts) == 47 and np.ptp(counts) <= 2 and abs(counts.mean() - len(rest) / 47) < 1


def test_blocks_and_a_sample():
    """Levels and gaps are those of all rows; quantiles of a sample of sorted rows keep the DKW bound."""
    rng = np.random.default_rng(0)
    n, k = 40_000, 4_000
    x = np.sort(rng.lognormal(size=n))
    x[rng.random(n) < 0.01] = np.nan
    level = np.where(rng.random(n) < 0.001, "rare", rng.choice([f"level {i}" for i in range(20)], n))
    frame = {"x": x, "level": level, "day": rng.integers(0, 900, n).astype("datetime64[D]")}
    drawn = is_drawn(SimpleNamespace(starts=[0], blocks=[n]), 0, 0, k / n)

    def by_blocks(size):
        encoder = TableEncoder()
        summary = TableSummary(encoder, 100)
        for start in range(0, n, size):
            part = slice(start, start + size)
            summary.add({name: values[part] for name, values in frame.items()}, np.flatnonzero(drawn[part]))
        return encoder.fit_summary(summary)

    expected = TableEncoder().fit(frame)
    encoder = by_blocks(5000)
    assert encoder.state()["columns"] is not None
    by_name = {column.name: column for column in encoder.columns_}
    for own in expected.columns_:
        found = by_name[own.name]
        if own.name == "level":
            assert (found.levels, found.pooled, found.missing) == (own.levels, own.pooled, own.missing)
            continue
        assert found.fields == own.fields
        if own.indicator is not None:
            np.testing.assert_array_equal(found.indicator, own.indicator)
    e = math.sqrt(math.log(2 / 1e-6) / (2 * drawn.sum()))
    there = np.sort(x[~np.isnan(x)])
    column = by_name["x"]
    assert abs(np.searchsorted(there, column.center[0]) / len(there) - 0.5) < e
    knots = column.knots[0][~np.isnan(column.knots[0])]
    ranks = np.searchsorted(there, knots) / len(there)
    assert np.abs(ranks - np.linspace(0, 1, len(knots))).max() < e + 1 / len(knots) / 10
    assert knots[0] == there[0] and knots[-1] == there[-1]
    again = by_blocks(7000)
    for one, other in zip(encoder.knots_, again.knots_, strict=True):
        np.testing.assert_array_equal(one, other)
