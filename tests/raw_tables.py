"""Tables with columns of every kind, models of them, and their cells as exports take them."""

import numpy as np

from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.data.columns import level_key
from fastmlp.data.fitting import DATE_FIELDS, NumericColumn, date_fields
from fastmlp.data.tables import TableEncoder
from fastmlp.engine import Network
from fastmlp.engine.architecture import (
    Dense,
    Embedding,
    Indicators,
    Inputs,
    Numbers,
    Parametric,
    Periodic,
    Piecewise,
    Scale,
)
from fastmlp.training.recipes import Recipe, layers_for

REGRESSION = ["one output", "several outputs", "positive"]
KINDS = ["binary", "words", "integers", "one class", *REGRESSION]  # of targets
SMALL = {"hidden_layer_sizes": (9, 5), "epochs": 3, "batch_size": 32}
WORDS = np.array(["no", "yes", "perhaps"])
LEVELS = [
    *("", "a", "A", "ä", "e\u0301", "é", "漢字", "🙂", "a b", " a", "a ", "3", "3.0", "2.5", "True", "1", "False"),
    *("-0", "NaN", "nan", "None", "x" * 300, "tab\t", "line\n", "'", '"'),
    *("*/", "/*", "//", "back\\", "??/", "%s ${NAME}", "\x01"),
]


def frame(n=160, seed=0, later=False):
    """A frame of pandas. A later one has levels and gaps that the first has not."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"size": 1e6 + 100 * rng.normal(size=n), "count": rng.integers(0, 9, n)})
    X["ratio"] = rng.standard_cauchy(n)
    X["constant"] = 2.5
    X["empty"] = np.nan
    X["since"] = rng.integers(-(2**52), 2**52, n).astype("datetime64[us]")  # from 1827 to 2112
    X["took so long"] = rng.integers(0, 10**10, n).astype("timedelta64[us]")
    X["city"] = rng.choice(["Graz", "Lyon", "Malmö", "Porto"], n)
    X["street"] = rng.choice([f"{i} lane" for i in range(15)], n)
    X["grade"] = pd.Categorical(rng.choice(["low", "mid", "high"], n), ["low", "mid", "high"], ordered=True)
    X["flag"] = rng.random(n) < 0.4
    X["maybe"] = pd.array(rng.random(n) < 0.6, dtype="boolean")
    X["code"] = pd.Categorical(rng.choice([7, 12, 1001], n))
    X["half"] = pd.Categorical(rng.choice([0.5, 1.0, 1e-7, -2.25], n))
    for i, name in enumerate(("size", "since", "took so long", "city", "maybe", "half")):
        X.loc[i :: 11 + i, name] = None
    X.loc[:2, "city"] = ["Oslo", "Bern", "Rome"]  # rare ones share a code
    if later:
        X["count"] = X["count"].astype(float)
        X["grade"] = X["grade"].cat.add_categories("none")
        X["flag"] = X["flag"].astype("boolean")
        for i, (name, unseen) in enumerate(
            {"city": "Paris", "street": "", "grade": "none", "half": None, "flag": None, "count": None}.items()
        ):
            X.loc[i::7, name] = unseen
        X["half"] = X["half"].cat.rename_categories({0.5: 3.5})
        X["empty"] = rng.normal(size=n)
        X["constant"] += np.arange(n)
    return X


def targets(X, kind):
    """What an estimator is to learn of the rows."""
    rng = np.random.default_rng(len(X))
    z = (X["count"] + 4 * X["flag"].astype(float) + rng.normal(size=len(X))).to_numpy(dtype=float)
    numbers = {"one output": z, "several outputs": np.stack([z, -1e3 * z, np.arange(len(z)) % 2], axis=1)}
    if kind in numbers:
        return numbers[kind]
    return {
        "positive": np.exp(z / 8),
        "binary": z > 5,
        "words": WORDS[np.digitize(z, [4, 7])],
        "integers": np.digitize(z, [3, 5, 7]) * 5 - 4,
        "one class": np.full(len(z), "only"),
    }[kind]


def fitted(X, kind="words", **params):
    """An estimator that has learnt a little."""
    made = TabularMLPRegressor if kind in REGRESSION else TabularMLPClassifier
    given = {"n_members": 2, "random_state": 0, "recipe": Recipe(**SMALL)}
    given |= {"loss": "poisson"} if kind == "positive" else {}
    return made(**given | params).fit(X, targets(X, kind))


def cells(model, X):
    """For each column of a frame its kind, "number", "date" or "text", and its cells: an array of float64, of
    datetime64[us], or a list of str and None."""
    columns = []
    for column, name in zip(model.encoder_.columns_, X.columns, strict=True):
        if column.role == "date":
            columns.append(("date", X[name].to_numpy().astype("datetime64[us]")))
        elif column.role not in ("number", "empty"):
            columns.append(("text", [level_key(value) for value in X[name].tolist()]))
        elif X[name].dtype.kind == "m":
            columns.append(("number", X[name].dt.total_seconds().to_numpy(dtype=float)))
        else:
            columns.append(("number", X[name].to_numpy(dtype=float)))
    return columns


def dates_alone(dates):
    """A fitted column of dates, the last of which is NaT, and the numbers that networks get of them.

    They are scaled so little that the clip does nothing.
    """
    n = len(DATE_FIELDS)
    column = NumericColumn(
        "d", "date", list(DATE_FIELDS), np.zeros(n), np.full(n, 1e-9), np.zeros((n, 2)), np.array([0.0, 1.0])
    )
    gaps = np.isnat(dates)
    assert gaps[-1] and not gaps[:-1].any()
    return column, np.stack([*np.where(gaps, 0, date_fields(dates, column.fields)) * 1e-9, gaps], axis=1)


def numbers_of_all_sizes():
    """An encoder of columns of numbers, and a table for it: numbers of all sizes, large ones that are near, gaps."""
    encoder = TableEncoder().fit({"x": np.arange(10.0), "y": 1e9 + np.arange(10) / 8, "gone": [1, np.nan] * 5})
    sizes = np.concatenate([-np.geomspace(1e-300, 1e300), [0], np.geomspace(1e-300, 1e300)])
    near = 1e9 + np.linspace(-2, 2, len(sizes))
    return encoder, {"x": sizes, "y": near, "gone": np.where(np.arange(len(sizes)) % 3, sizes, np.nan)}


def _edges(n_columns, seed=0):
    """Edges of bins; some columns have fewer than others."""
    edges = np.sort(np.random.default_rng(seed).normal(size=(n_columns, 6)), axis=1)
    for j in range(n_columns):
        edges[j, 6 - j % 5 :] = np.inf
    return edges.astype(np.float32)


def networks(model):
    """Lists of layers over the columns of a fitted model, with every kind of layer, whole ranges and parts of them."""
    encoder, n_outputs = model.encoder_, model.n_outputs_
    n = len(encoder.number_names_)
    levels = tuple(map(int, encoder.n_levels_))
    inputs, k = Inputs(n, levels), len(levels)
    onehot = np.random.default_rng(0).normal(size=(2, sum(levels[1:3]))).astype(np.float32)
    return {
        "the recipe's": layers_for(Recipe(**SMALL), encoder, n_outputs)[0],
        "of both embeddings": layers_for(Recipe(**SMALL, n_bins=7, piecewise_width=2), encoder, n_outputs)[0],
        "parts of the columns": [
            inputs,
            Numbers(range(2, 5)),
            Embedding(3, range(1, 2)),
            Periodic(range(1, n), 5, 2),
            Indicators(*onehot, range(1, 3)),
            Embedding(1),
            Dense(7, "relu"),
            Scale(),
            Dense(4),
            Parametric("gelu"),
            Dense(n_outputs),
        ],
        "bins": [inputs, Piecewise(_edges(n), None, 3), Numbers(), Dense(6), Parametric("identity"), Dense(n_outputs)],
        "bins of some": [inputs, Piecewise(_edges(4, 1), range(2, 6), 1), Indicators(
            np.ones(sum(levels)), np.zeros(sum(levels)), range(k)), Scale(), Dense(n_outputs)],
        "codes alone": [inputs, Embedding(4), Dense(5), Parametric("mish"), Dense(n_outputs)],
        "dense first": [inputs, Dense(8, "tanh"), Dense(6, "silu"), Dense(n_outputs)],
        "one layer": [inputs, Dense(n_outputs)],
    }  # fmt: skip


def with_members(model, layers, weights=None):
    """Give a model members of these layers with drawn parameters, in place of its own."""
    weights = [1 / len(layers)] * len(layers) if weights is None else weights
    rng = np.random.default_rng(1)
    members = []
    for one, weight in zip(layers, weights, strict=True):
        network = Network(one, None, model._loss, np.float32)
        parameters = [rng.normal(scale=0.6, size=array.shape).astype(np.float32) for _, array, _ in network.parameters]
        members.append((one, parameters, weight))
    model._weighted_members = lambda: members
    vars(model).pop("_average", None)
    return model
