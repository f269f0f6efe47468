"""Gradients of tabular models by raw columns are those of central differences, in float64 and on raw frames."""

import math
from dataclasses import replace

import numpy as np
import pytest
from raw_tables import SMALL, frame
from raw_tables import fitted as fitted_to
from sklearn.exceptions import NotFittedError

from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.data.columns import as_dates, as_numbers
from fastmlp.data.fitting import date_fields
from fastmlp.data.frames import read_table
from fastmlp.engine import LOSSES, Predictor
from fastmlp.training.recipes import Recipe, layers_for

pd = pytest.importorskip("pandas")

X = frame()
LATER = frame(seed=5, later=True)
# a second of a date crosses no midnight here
MOVES = {"size": 1e-4, "count": 1e-5, "ratio": 1e-5, "constant": 1e-5, "since": 1 / 86_400, "took so long": 0.02}
SMOOTH = {**SMALL, "activation": "mish"}


def fitted(X, kind, **params):
    return fitted_to(X, kind, **{"recipe": Recipe(**SMOOTH), **params})


def encoded(model, table):
    """Numbers in float64, by the formulas of the encoder, and codes."""
    encoder = model.encoder_
    numbers, codes = encoder.transform(table)
    numbers, read, j = numbers.astype(np.float64), read_table(table, ""), 0
    for i, column in enumerate(encoder.columns_):
        if column.role not in ("number", "date", "empty"):
            continue
        values = read.column(i)
        fields = [np.full(len(table), math.nan)]
        if column.role == "number":
            fields = [np.asarray(as_numbers(values, ""), dtype=np.float64)]
        elif column.role == "date":
            fields = date_fields(as_dates(values, ""), column.fields)
        for x, center, scale in zip(fields, column.center, column.scale, strict=True):
            u = (x - center) * scale
            numbers[:, j] = np.where(np.isnan(u), 0, u / np.sqrt(1 + (u / 3) ** 2))
            j += 1
    return numbers, codes


def twin(model, table, raw_score=False):
    """The prediction in float64, with an axis of outputs."""
    numbers, codes = encoded(model, table)
    total = 0
    for member in model.members_:
        layers, _ = layers_for(member.recipe, model.encoder_, model.n_outputs_)
        parameters = [array.astype(np.float64) for array in member.parameters]
        total = total + member.weight_ * Predictor.of(layers, parameters, LOSSES[model._loss])(numbers, codes=codes)
    if isinstance(model, TabularMLPClassifier):
        if not raw_score:
            return total
        return np.log(total / (1 - total)) if model.n_outputs_ == 2 else np.log(total)
    if raw_score and LOSSES[model._loss] == "exp":
        return np.log(total)
    values = total * model._scale + model._center
    return values if raw_score else np.clip(values, model._least, model._greatest)


def moved(table, name, by):
    other = table.copy()
    if table[name].dtype.kind == "M":
        other[name] = table[name] + pd.Timedelta(86_400 * by, "s")
    elif table[name].dtype.kind == "m":
        other[name] = table[name] + pd.Timedelta(by, "s")
    else:
        other[name] = table[name] + by
    return other


def differences(model, table, raw_score=False):
    """Central differences of the twin by each column that moves, shape (n, n_outputs, n_features)."""
    found = np.full((len(table), model.n_outputs_, table.shape[1]), math.nan)
    for j, name in enumerate(table.columns):
        if name in MOVES:
            h = MOVES[name]
            ends = [twin(model, moved(table, name, by), raw_score) for by in (h, -h)]
            gaps = table[name].isna().to_numpy()
            found[..., j] = np.where(gaps[:, None], math.nan, (ends[0] - ends[1]) / (2 * h))
    return found


def assert_close(gradients, expected):
    np.testing.assert_array_equal(np.isnan(gradients), np.isnan(expected))
    for j in range(expected.shape[-1]):
        if not np.isnan(expected[..., j]).all():
            largest = np.nanmax(np.abs(expected[..., j]))
            assert largest > 0 or MOVES.get(X.columns[j]) is None or X.columns[j] == "constant"
            np.testing.assert_allclose(gradients[..., j], expected[..., j], rtol=3e-4, atol=3e-5 * largest)


CASES = {
    "words": ("words", {}),
    "binary": ("binary", {}),
    "one output": ("one output", {}),
    "several outputs": ("several outputs", {}),
    "poisson": ("positive", {"loss": "poisson"}),
    "gamma": ("positive", {"loss": "gamma"}),
    "bins": ("one output", {"recipe": Recipe(**SMOOTH, n_bins=6, piecewise_width=3, frequencies=0)}),
    "no embedding": ("words", {"recipe": Recipe(**SMOOTH, frequencies=0)}),
    "linear": ("several outputs", {"recipe": Recipe(hidden_layer_sizes=(), epochs=3)}),
}


@pytest.mark.parametrize("raw_score", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_central_differences(case, raw_score):
    kind, params = CASES[case]
    model = fitted(X, kind, **params)
    # at the edges of bins, which are values of X, there are two slopes
    off = [LATER.assign(count=LATER["count"] + 0.3, constant=LATER["constant"] + 0.3)] if case == "bins" else [X, LATER]
    for table in off:
        prediction = model.predict_proba(table) if hasattr(model, "classes_") else model.predict(table)
        np.testing.assert_allclose(
            twin(model, table).reshape(prediction.shape), prediction, rtol=1e-4, atol=1e-5 * np.abs(prediction).max()
        )
        gradients = model.input_gradients(table, raw_score=raw_score)
        expected = differences(model, table, raw_score)
        if model.n_outputs_ < 3:
            assert gradients.shape == table.shape
            gradients, expected = gradients[:, None], expected[:, -1:]
        assert gradients.shape == expected.shape and gradients.dtype == np.float64
        assert_close(gradients, expected)


def test_kinks():
    model = fitted(X, "words", recipe=Recipe(**SMALL))  # selu has one
    gradients, expected = model.input_gradients(X), differences(model, X)
    far = np.nan_to_num(np.abs(gradients - expected)) > 1e-3 * np.nan_to_num(np.abs(expected)).max(axis=(0, 1)) + 1e-12
    assert far.any(axis=(1, 2)).mean() < 0.03


def test_members_of_several_recipes_and_weights():
    recipe = {"hidden_layer_sizes": (3,), "epochs": 2, "activation": "tanh", "category_width": 2}
    model, other = fitted(X, "words"), fitted(X, "words", recipe=Recipe(**recipe))
    shares = [0.5, 0.2, 0.3, 0.0]
    every = [*model.members_, *other.members_]
    model.members_ = [replace(member, weight_=share) for member, share in zip(every, shares, strict=True)]
    del model._average
    for raw_score in (False, True):
        assert_close(model.input_gradients(X, raw_score=raw_score), differences(model, X, raw_score))


def test_where_there_is_no_number_to_move():
    model = fitted(X, "one output")
    gradients = pd.DataFrame(model.input_gradients(LATER), columns=X.columns)
    for name in ("empty", "city", "street", "grade", "flag", "maybe", "code", "half"):
        assert gradients[name].isna().all()
    for name in ("size", "count", "ratio", "since", "took so long"):
        assert (gradients[name].isna() == LATER[name].isna()).all() and (gradients[name] != 0).any()
    assert LATER["count"].isna().any() and LATER["size"].isna().any() and LATER["since"].isna().any()
    assert (gradients["constant"] == 0).all()


def test_targets():
    rows = np.arange(len(X))
    for raw_score in (False, True):
        model = fitted(X, "words")
        every = model.input_gradients(X, raw_score=raw_score)
        for k in range(3):
            one = model.input_gradients(X, target=k, raw_score=raw_score)
            np.testing.assert_allclose(one, every[:, k], rtol=1e-4, atol=1e-7 * np.nanmax(np.abs(every)))
        chosen = rows % 3
        own = model.input_gradients(X, target=chosen, raw_score=raw_score)
        np.testing.assert_allclose(own, every[rows, chosen], rtol=1e-4, atol=1e-7 * np.nanmax(np.abs(every)))
        if not raw_score:
            known = np.nan_to_num(every)
            assert (np.abs(known.sum(axis=1)) <= 1e-5 * np.abs(known).max(axis=(0, 1))).all()
        two = fitted(X, "binary")
        last = two.input_gradients(X, raw_score=raw_score)
        np.testing.assert_array_equal(two.input_gradients(X, target=1, raw_score=raw_score), last)
        first = two.input_gradients(X, target=0, raw_score=raw_score)
        np.testing.assert_allclose(first, -last, rtol=1e-3, atol=1e-6 * np.nanmax(np.abs(last)))
        mixed = two.input_gradients(X, target=rows % 2, raw_score=raw_score)
        np.testing.assert_allclose(mixed, np.where(rows[:, None] % 2, last, first), rtol=1e-4, atol=1e-12)
        values = fitted(X, "several outputs")
        every = values.input_gradients(X, raw_score=raw_score)
        for given in (1, rows % 3):
            own = values.input_gradients(X, target=given, raw_score=raw_score)
            np.testing.assert_allclose(own, every[rows, given], rtol=1e-4, atol=1e-7 * np.nanmax(np.abs(every)))
        one = fitted(X, "one output")
        np.testing.assert_array_equal(one.input_gradients(X, target=0), one.input_gradients(X))


def test_values_that_are_held_do_not_move():
    model = fitted(X, "several outputs")
    free = model.input_gradients(X)
    raw = twin(model, X, raw_score=True)
    assert (raw == twin(model, X)).mean() > 0.95
    model._least, model._greatest = np.quantile(raw, [0.3, 0.6], axis=0)
    held = (raw < model._least) | (raw > model._greatest)
    gradients = model.input_gradients(X)
    gaps = np.isnan(free)
    np.testing.assert_array_equal(gradients, np.where(held[..., None] & ~gaps, 0, free))
    assert 0.6 < held.mean() < 0.8
    np.testing.assert_array_equal(model.input_gradients(X, target=2), gradients[:, 2])
    assert (np.nan_to_num(model.input_gradients(X, raw_score=True))[..., 0] != 0).mean() > 0.8


@pytest.mark.parametrize("kind", ["binary", "words"])
def test_logits_of_classes_that_are_sure(kind):
    model = fitted(X, kind)
    for member in model.members_:
        member.parameters[-2] *= 20
    del model._average
    probabilities = model.predict_proba(X)
    assert (probabilities < 1e-9).any() and (probabilities == 1).any()
    gradients = model.input_gradients(X, raw_score=True)
    expected = differences(model, X, raw_score=True)
    assert np.isfinite(gradients[~np.isnan(X["ratio"]), ..., 2]).all()
    # of the logarithm of a probability near 1, of which float64 has no difference
    known = (
        (0 < probabilities) & (probabilities < 0.99)
        if kind == "words"
        else (np.abs(np.log(probabilities)) < 25).all(axis=1)
    )
    own, theirs = gradients[known][:, 2], (expected if kind == "words" else expected[:, 1])[known][:, 2]
    large = np.abs(theirs) > 1e-3 * np.abs(theirs).max()
    assert large.mean() > 0.3
    assert np.quantile(np.abs(own[large] / theirs[large] - 1), 0.9) < 0.02


def test_tables_of_any_kind():
    model = fitted(X, "words")
    expected = model.input_gradients(X)
    pl = pytest.importorskip("polars")
    plain = X.astype(dict.fromkeys(("grade", "flag", "maybe", "code", "half"), object))
    columns = {name: [None if value is pd.NaT or value != value else value for value in plain[name].tolist()]
               for name in plain.columns if name != "maybe"}  # fmt: skip
    columns["maybe"] = [None if value is pd.NA else value for value in plain["maybe"].tolist()]
    np.testing.assert_allclose(model.input_gradients(columns), expected, rtol=1e-6)
    turned = {name: pl.Series(values, dtype=pl.Float64 if name == "half" else None) for name, values in columns.items()}
    turned = pl.DataFrame(dict(reversed(turned.items())))
    np.testing.assert_allclose(model.input_gradients(turned), expected, rtol=1e-6)
    one = model.input_gradients({name: values[4] for name, values in columns.items()})
    np.testing.assert_allclose(one, expected[4:5], rtol=1e-4, atol=1e-9 * np.nanmax(np.abs(expected)))
    matrix = np.random.default_rng(0).normal(size=(40, 3))
    model = TabularMLPRegressor(2, random_state=0, recipe=SMALL).fit(matrix, matrix[:, 0])
    assert model.input_gradients(matrix.tolist()).shape == (40, 3)


def test_bools_that_are_numbers():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"flag": rng.random(80) < 0.5, "x": rng.normal(size=80)})
    model = TabularMLPRegressor(2, random_state=0, recipe=SMALL, categorical_features=None)
    assert np.isfinite(model.fit(table, table["x"]).input_gradients(table)).all()
    gradients = model.set_params(categorical_features="from_dtype").fit(table, table["x"]).input_gradients(table)
    assert np.isnan(gradients[:, 0]).all() and np.isfinite(gradients[:, 1]).all()


def test_without_numbers_and_with_one_class():
    table = {"a": ["x", "y", "z", None] * 10, "b": [f"{i % 20}_" for i in range(40)]}
    model = TabularMLPRegressor(2, random_state=0, recipe=SMALL).fit(table, np.arange(40))
    gradients = model.input_gradients(table)
    assert gradients.shape == (40, 2) and np.isnan(gradients).all()
    for raw_score in (False, True):
        gradients = fitted(X, "one class").input_gradients(X, raw_score=raw_score)
        assert gradients.shape == X.shape and (gradients[~np.isnan(gradients)] == 0).all()


def test_same_bits_on_any_number_of_threads():
    table = pd.concat([X] * 20)
    model = fitted(X, "words")
    one = model.set_params(n_jobs=1).input_gradients(table)
    np.testing.assert_array_equal(model.set_params(n_jobs=2).input_gradients(table), one)


def test_what_is_refused():
    with pytest.raises(NotFittedError):
        TabularMLPClassifier().input_gradients(X)
    model = fitted(X, "binary")
    for target, error, match in (
        (2, ValueError, "target must be an index of an output, at least 0 and below 2, got 2"),
        (-1, ValueError, "at least 0 and below 2, got -1"),
        ([0, 1], ValueError, r"of shape \(160,\)"),
        ("no", TypeError, "indices of outputs, integers"),
        (0.5, TypeError, "indices of outputs, integers"),
    ):
        with pytest.raises(error, match=match):
            model.input_gradients(X, target=target)
    with pytest.raises(ValueError, match="Column 'size' is numeric, and has 'large'"):
        model.input_gradients(X.assign(size="large"))
    with pytest.raises(ValueError, match="feature names should match"):
        model.input_gradients(X.drop(columns="size"))
