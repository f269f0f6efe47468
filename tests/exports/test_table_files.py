"""Models of tables in files: columns, members and predictions come back to the bit, and no other content is read."""

import datetime
import os
import pickle
import re
from dataclasses import replace

import joblib
import numpy as np
import pytest
from comparing import same, state, through_file
from raw_tables import KINDS, SMALL, fitted, frame, targets

import fastmlp
from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.training.recipes import Recipe

pd = pytest.importorskip("pandas")
safetensors = pytest.importorskip("safetensors")
forging = pytest.importorskip("forging")
at, put, refusal, tensor = forging.at, forging.put, forging.refusal, forging.tensor

X, LATER = frame(), frame(seed=3, later=True)


def check(model, tmp_path, *tables):
    """A model comes back and predicts alike; returned as it was loaded."""
    loaded = through_file(model, tmp_path)
    for table in tables:
        assert same(loaded.predict(table), model.predict(table))
        if hasattr(model, "predict_proba"):
            assert same(loaded.predict_proba(table), model.predict_proba(table))
    return loaded


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind, tmp_path):
    model = fitted(X, kind)
    loaded = check(model, tmp_path, X, LATER, X.iloc[:1], LATER.iloc[5].to_dict())
    assert loaded.encoder_.number_names_ == model.encoder_.number_names_
    assert loaded.encoder_.estimator == type(model).__name__ and loaded.oof_score_ == model.oof_score_
    for ours, theirs in zip(loaded.members_, model.members_, strict=True):
        assert ours.loss_curve_ == theirs.loss_curve_ and ours.validation_scores_ == theirs.validation_scores_
        assert ours.best_epoch_ == theirs.best_epoch_ and ours.weight_ == theirs.weight_
    # and is fitted anew as it was
    again = loaded.fit(X, targets(X, kind))
    assert same(state(again), state(model))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict"])
def test_tables_of_other_libraries(library, tmp_path):
    table = {"n": [1.5, None, 3.0, 4.0] * 20, "s": ["a", "b", None, "c"] * 20, "flag": [True, False] * 40}
    table["day"] = [datetime.date(2024, 1, 1 + i % 28) for i in range(80)]
    given = table if library == "dict" else getattr(pytest.importorskip(library), {"polars": "DataFrame"}.get(
        library, "table"))(table)  # fmt: skip
    model = TabularMLPClassifier(2, random_state=0, recipe=SMALL).fit(given, ["x", "y"] * 40)
    check(model, tmp_path, given, table, {"n": 2.0, "s": "new", "flag": None, "day": "2024-02-29"})


LABELS = {
    "int64": np.array([-3, 5, 2**62]),
    "int8": np.array([-128, 0, 127], dtype=np.int8),
    "uint64": np.array([0, 7, 2**64 - 1], dtype=np.uint64),
    "bool": np.array([False, True]),
    "float": np.array([-1.0, 2.0, 7.0], dtype=np.float32),
    "str": np.array(["a", "größe", '\U0001f600 [{"\\']),
    "wide str": np.array(["a", "b", "c"], dtype="<U40"),
    "surrogate": np.array(["a\ud800", "b", "c"]),
    "object": np.array(["setosa", "virginica", "x"], dtype=object),
    "one class": np.array(["all"]),
}


@pytest.mark.parametrize("name", LABELS)
def test_every_type_of_labels(name, tmp_path):
    labels = LABELS[name]
    y = labels[np.arange(30) % len(labels)]
    model = TabularMLPClassifier(2, random_state=0, recipe=SMALL).fit(np.arange(60.0).reshape(30, 2), y)
    loaded = check(model, tmp_path, np.arange(6.0).reshape(3, 2))
    assert same(loaded.classes_, model.classes_)


def test_big_endian_labels(tmp_path):  # which a pickle turns around
    y = (np.arange(30) % 3).astype(">i4")
    model = TabularMLPClassifier(2, random_state=0, recipe=SMALL).fit(np.arange(60.0).reshape(30, 2), y)
    model.save(tmp_path / "model")
    assert same(fastmlp.load(tmp_path / "model").classes_, model.classes_) and model.classes_.dtype == ">i4"


DAY = datetime.datetime(2024, 2, 29, 12, 30, 0, 17)
NAMES = {
    "texts": ["a", "größe", "", 'with "quotes"\\\n', "\ud800"],
    "numbers": [3, -1.5, 2**62, True, float("inf")],
    "all sorts": [None, "a", 0, (1, ("b", None)), -1e-300],
    "levels": [("x", "mean"), ("x", "std"), ("y", ""), (DAY, 1), (datetime.date(2024, 2, 29),)],
    "dates": [DAY, DAY.replace(tzinfo=datetime.UTC), DAY.date(), datetime.datetime.min, datetime.datetime.max],
    "pandas's dates": [*pd.date_range("2024-01-01", periods=5, freq="36h", tz="Europe/Vienna")],
    "positions": [0, 1, 2, 3, 4],
    "other positions": [0, 1, 2, 3, 5],
}


@pytest.mark.parametrize("case", NAMES)
def test_every_kind_of_names(case, tmp_path):
    names = NAMES[case]
    columns = np.random.default_rng(0).normal(size=(5, 20))
    table = dict(zip(names, columns, strict=True))
    model = TabularMLPRegressor(2, random_state=0, recipe=SMALL).fit(table, columns[0])
    loaded = through_file(model, tmp_path)
    if case != "positions":
        table = dict(reversed(table.items()))
    for other in (table, {name: column[:1] for name, column in table.items()}):
        assert same(loaded.predict(other), model.predict(other))
    assert all(
        type(a) is type(b) or isinstance(a, datetime.datetime)
        for a, b in zip(*([c.name for c in one.encoder_.columns_] for one in (loaded, model)), strict=True)
    )
    assert hasattr(loaded, "feature_names_in_") == (case == "texts")
    if case == "positions":
        assert same(loaded.predict(columns.T), model.predict(columns.T))
    else:
        with pytest.raises(ValueError, match="feature names should match"):
            loaded.predict({**{name: table[name] for name in names[:-1]}, "other": columns[0]})


@pytest.mark.parametrize("name", [b"a", pd.Interval(0, 1), pd.Timestamp("2024-01-01") + pd.Timedelta(1, "ns")])
def test_other_names_are_refused(name, tmp_path):
    model = TabularMLPRegressor(2, random_state=0, recipe=SMALL).fit({name: np.arange(9.0)}, np.arange(9.0))
    with pytest.raises(TypeError, match="encoder_ cannot be saved: A file cannot hold a value of type"):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


PARAMS = {
    "recipe": {"recipe": Recipe(hidden_layer_sizes=np.array([6, 4]), epochs=2, activation="mish", batch_size=16)},
    "recipe of a dict": {"recipe": {"hidden_layer_sizes": [], "epochs": np.int64(2)}, "max_iter": 1},
    "both embeddings": {"recipe": {**SMALL, "n_bins": 5, "piecewise_width": 2}},
    "no embedding": {"recipe": {**SMALL, "frequencies": 0}},
    "columns by name": {"categorical_features": ["count", "city", "flag", "street", "grade", "maybe", "code", "half"]},
    "columns by position": {"categorical_features": np.arange(7, 14)},
    "columns by mask": {"categorical_features": [False] * 7 + [True] * 7},
    "random state": {"random_state": np.random.RandomState(7)},
    "score": {"scoring": "neg_log_loss", "class_weight": {"yes": 2, "no": np.float32(0.5), "perhaps": 1}},
    "balanced": {"class_weight": "balanced", "n_members": 1, "validation_fraction": 0.4},
    "time": {"time_limit": 1000.0, "n_jobs": 1, "n_members": 2},
    "verbose": {"verbose": True, "n_members": 6},
}


@pytest.mark.parametrize("case", PARAMS)
def test_parameters(case, tmp_path, capsys):
    model = fitted(X, **PARAMS[case])
    loaded = check(model, tmp_path, LATER)
    assert loaded.get_params().keys() == model.get_params().keys()
    assert same(loaded.recipe, model.recipe)
    assert same(state(loaded.fit(X, targets(X, "words"))), state(model.fit(X, targets(X, "words"))))


def test_validation_data(tmp_path):
    y = targets(X, "one output")
    model = TabularMLPRegressor(2, random_state=0, recipe=SMALL).fit(X, y, X_val=X[:30], y_val=y[:30])
    loaded = check(model, tmp_path, LATER)
    assert not hasattr(loaded, "oof_score_")


def test_members_of_several_recipes_and_weights(tmp_path):
    models = [
        fitted(X, recipe={**SMALL, "hidden_layer_sizes": sizes, "n_bins": n_bins}, scoring="neg_log_loss")
        for sizes, n_bins in (((3,), 0), ((4, 4), 9), ((), 0))
    ]
    model = models[0]
    shares = [0.5, 0.1, 0.0, 0.2, 0.15, 0.05]
    every = [member for one in models for member in one.members_]
    model.members_ = [replace(member, weight_=share) for member, share in zip(every, shares, strict=True)]
    del model._average
    loaded = check(model, tmp_path, X, LATER)
    assert [member.weight_ for member in loaded.members_] == shares
    assert [member.recipe.hidden_layer_sizes for member in loaded.members_] == [(3,), (3,), (4, 4), (4, 4), (), ()]


def test_not_fitted(tmp_path):
    loaded = through_file(TabularMLPClassifier(7, recipe={"depth": 3}, class_weight={"a": 1}), tmp_path)
    assert not hasattr(loaded, "members_")
    through_file(TabularMLPRegressor(loss="gamma", categorical_features=[1, 2], recipe=Recipe()), tmp_path)


def test_the_size_does_not_grow_with_the_rows(tmp_path):
    sizes = []
    for n in (300, 6000):
        rng = np.random.default_rng(0)
        table = {"x": np.arange(n) % 97, "c": rng.permutation(np.arange(n) % 12).astype(str), "d": np.arange(n) % 2 > 0}
        table["gap"] = np.where(np.arange(n) % 5 == 0, np.nan, np.arange(n) % 89)
        model = TabularMLPRegressor(2, random_state=0, recipe=SMALL).fit(table, np.arange(n) % 10)
        model.save(tmp_path / "model")
        sizes.append(os.path.getsize(tmp_path / "model"))
    assert abs(sizes[1] - sizes[0]) < 200


def test_many_columns_take_few_arrays(tmp_path):
    n_tensors = []
    for n in (3, 280):
        rng = np.random.default_rng(0)
        table = {f"x{i}": rng.integers(0, 9, 12).astype(float if i % 3 else str) for i in range(n)}
        model = TabularMLPRegressor(2, random_state=0, recipe={"hidden_layer_sizes": (2,), "epochs": 1}).fit(
            table, np.arange(12.0)
        )
        check(model, tmp_path, table)
        tensors = forging.taken_apart(tmp_path / "model.fastmlp")[1]
        n_tensors.append(sum(name.startswith("encoder_") for name in tensors))
    assert n_tensors[0] == n_tensors[1] < 15


def test_other_programs_can_read_the_arrays(tmp_path):
    model = fitted(X)
    model.save(tmp_path / "model.safetensors")
    tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    for i, member in enumerate(model.members_):
        for j, array in enumerate(member.parameters):
            assert same(tensors[f"members_.{i}.parameters.{j}"], array)
        assert tensors[f"members_.{i}.loss_curve"].tolist() == member.loss_curve_
    document, _ = forging.taken_apart(tmp_path / "model.safetensors")
    assert document["class"] == "TabularMLPClassifier"
    assert tensors["encoder_.columns.center"][0] == np.nanmedian(X["size"])


def test_a_model_mapped_from_a_file_of_joblib(tmp_path):
    model = fitted(X, recipe={"hidden_layer_sizes": (64, 64), "epochs": 1})
    model.save(tmp_path / "model")
    joblib.dump(model, tmp_path / "joblib")
    mapped = joblib.load(tmp_path / "joblib", mmap_mode="r")
    assert type(mapped.members_[0].parameters[-2]) is np.memmap
    assert same(mapped.predict_proba(LATER), model.predict_proba(LATER))
    mapped.save(tmp_path / "mapped")
    assert (tmp_path / "mapped").read_bytes() == (tmp_path / "model").read_bytes()


# What is not saved


def accuracy(estimator, X, y):
    return float(np.mean(estimator.predict(X) == y))


@pytest.mark.parametrize("names", ["callbacks", "scoring", "checkpoint_path"])
def test_what_is_only_for_training_is_left_out_by_name(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"callbacks": [lambda *_: None], "scoring": accuracy, "checkpoint_path": "checkpoint"}
    model = fitted(X, **{names: given[names]})
    model.note_ = "mine"
    said = rf"^Not saved, because a file holds nothing but data: {names}, note_\.$"
    with pytest.warns(UserWarning, match=said) as caught:
        model.save(tmp_path / "model")
    assert caught[0].filename == __file__
    loaded = fastmlp.load(tmp_path / "model")
    assert getattr(loaded, names) is None and not hasattr(loaded, "note_")
    assert same(loaded.predict_proba(X), model.predict_proba(X)) and loaded.oof_score_ == model.oof_score_


class Derived(TabularMLPRegressor):
    pass


def test_what_is_no_model_is_not_saved(tmp_path):
    with pytest.raises(TypeError, match=r"test_table_files.Derived cannot be saved"):
        Derived().save(tmp_path / "model")
    for params, error, match in (
        ({"n_members": 0}, ValueError, "cannot be saved: The 'n_members' parameter"),
        ({"recipe": {"epochs": 3j}}, TypeError, "recipe cannot be saved: .* builtins.complex"),
        ({"categorical_features": range(3)}, TypeError, "categorical_features cannot be saved: .* builtins.range"),
    ):
        with pytest.raises(error, match=match):
            TabularMLPClassifier(**params).save(tmp_path / "model")
    model = fitted(X)
    member = model.members_[0]
    for name, value, error, match in (
        ("members_", [], ValueError, "it has no members_"),
        ("members_", [member], ValueError, "weights of at least 0 that add up to 1"),
        ("members_", [replace(member, parameters=member.parameters[:-1], weight_=1)], ValueError, "of shapes"),
        ("members_", [replace(member, recipe=Recipe(), weight_=1)], ValueError, "of shapes"),
        ("classes_", model.classes_[:2], ValueError, "classes_ are not those of 3 outputs"),
        ("classes_", np.array(["a", None, "b"], dtype=object), TypeError, "classes_ cannot be saved"),
        ("n_features_in_", 5, ValueError, "feature_names_in_ has other features"),
        ("n_jobs", 0, ValueError, "cannot be saved: n_jobs"),
    ):
        changed = pickle.loads(pickle.dumps(model))
        setattr(changed, name, value)
        with pytest.raises(error, match=match):
            changed.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# What is not read


@pytest.fixture(scope="module")
def models():
    """By kind, models that use most of what a file can hold."""
    return {kind: fitted(X, kind, recipe=Recipe(**SMALL, n_bins=5)) for kind in ("words", "several outputs")}


@pytest.fixture
def parts(models, tmp_path):
    """(kind) -> document and tensors, to be changed."""

    def parts(kind):
        models[kind].save(tmp_path / "model")
        return forging.taken_apart(tmp_path / "model")

    return parts


def test_the_forger_makes_files_that_are_read(parts, tmp_path):
    document, tensors = parts("words")
    path = tmp_path / "forged"
    path.write_bytes(forging.put_together(document, tensors))
    assert same(state(fastmlp.load(path)), state(fastmlp.load(tmp_path / "model")))


def test_truncations_and_flipped_bits_are_told(models, tmp_path):
    path = tmp_path / "model"
    models["words"].save(path)
    content = path.read_bytes()
    for length in [*range(0, len(content), 977), len(content) - 1]:
        assert refusal(content[:length], tmp_path).startswith("is truncated: it has ")
    for at in range(200, len(content), 977):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        assert refusal(bytes(flipped), tmp_path).startswith("is corrupt: its checksum does not match")


def _column(part, make):
    """Change the list of a part of the columns."""

    def change(document, tensors):
        put(*COLUMNS, part, make(at(document, *COLUMNS, part)))(document, tensors)

    return change


def _with(i, value):
    return lambda values: [*values[:i], value, *values[i + 1 :]]


def _nan(array):
    array = array.copy()
    array.flat[0] = np.nan
    return array


COLUMNS = ("fitted", "encoder_", "columns")
MEMBER = ("fitted", "members_", 0)
RECIPE = (*MEMBER, "recipe")
# the columns: 7 of numbers and dates, 7 of levels; the fields of the date are days, year, month, day of week, hour
CLASSIFIER = {
    "class": (put("class", "TabularMLP"), "its class 'TabularMLP' is none of"),
    "members": (put("params", "n_members", -1), "'n_members' parameter"),
    "threads": (put("params", "n_jobs", 0), "n_jobs"),
    "callbacks": (put("params", "callbacks", "os.system"), "callbacks is not for files"),
    "a recipe of text": (put("params", "recipe", "eval"), "'recipe' parameter"),
    "a recipe of a list": (put("params", "recipe", {"tuple": [[1]]}), "has no attribute 'keys'"),
    "a recipe with others": (put("params", "recipe", {"tuple": [{"dict": [["epochs", -1]]}]}), "'epochs' parameter"),
    "unknown attribute": (put("fitted", "__class__", 1), "has no attributes __class__"),
    "units of a classifier": (put("fitted", "_one", True), "TabularMLPClassifier has no attributes _one"),
    "outputs": (put("fitted", "n_outputs_", 2), "classes_ are not those of 2 outputs"),
    "many outputs": (put("fitted", "n_outputs_", 2**40), "classes_ are not those of 1099511627776 outputs"),
    "features": (put("fitted", "n_features_in_", 3), "feature_names_in_ has other features"),
    "features without names": (
        lambda document, tensors: (
            document["fitted"].pop("feature_names_in_"),
            document["fitted"].update(n_features_in_=3),
        ),
        "n_features_in_ is 3, not 14",
    ),
    "loss": (put("fitted", "_loss", "squared_error"), "_loss is 'squared_error'"),
    "loss of another kind": (put("fitted", "_loss", []), "_loss is|unhashable"),
    "score": (put("fitted", "oof_score_", "high"), "oof_score_ is 'high'"),
    "epochs": (put("fitted", "n_iter_", -1), "n_iter_ is -1"),
    "few classes": (put("fitted", "classes_", "array", "strings", ["a", "b"]), "not those of 3 outputs"),
    "classes in a list": (put("fitted", "classes_", [{"array": {"strings": ["a"], "dtype": "<U1"}}]), "classes_ are"),
    "an encoder that is none": (put("fitted", "encoder_", []), "nothing refers to its arrays"),
    "names that are none": (put("fitted", "encoder_", "names", "abc"), "no names of 14 columns"),
    "fewer names": (put("fitted", "encoder_", "names", ["a"]), "no names of 14 columns"),
    "the same name": (put("fitted", "encoder_", "names", ["a"] * 14), "several columns have the same name"),
    "a name that is a list": (put("fitted", "encoder_", "names", [[]] * 14), "unhashable"),
    "a name that is no date": (put("fitted", "encoder_", "names", [{"date": "x"}] * 14), "Invalid isoformat"),
    "a date of a list": (put("fitted", "encoder_", "names", [{"datetime": []}] * 14), "must be str"),
    "roles": (_column("roles", _with(0, "text")), "a column has no role"),
    "no roles": (_column("roles", lambda roles: []), "a column has no role"),
    "roles of text": (_column("roles", lambda roles: "number"), "a column has no role"),
    "other roles": (_column("roles", _with(0, "embedding")), "not 10 centers"),
    "onehot for binary": (_column("roles", _with(10, "onehot")), "constants"),
    "binary for onehot": (_column("roles", _with(7, "binary")), "'city' is binary and has 4 levels"),
    "a date for a number": (_column("roles", _with(0, "date")), "fields of other dates"),
    "fields": (_column("fields", lambda fields: []), "fields of other dates"),
    "unknown fields": (_column("fields", lambda fields: [["days", "minute"]]), "a date has the fields"),
    "fields in another order": (_column("fields", lambda fields: [fields[0][::-1]]), "a date has the fields"),
    "fewer fields": (_column("fields", lambda fields: [fields[0][:-1]]), "there are not 10 centers"),
    "no days": (_column("fields", lambda fields: [fields[0][1:]]), "a date has the fields"),
    "centers": (tensor("encoder_.columns.center", lambda a: a[1:]), "there are not 11 centers"),
    "centers of float32": (tensor("encoder_.columns.center", lambda a: a.astype("f4")), "center is no array of"),
    "negative scale": (tensor("encoder_.columns.scale", lambda a: -1 - a), "a scale is negative"),
    "scale that is none": (tensor("encoder_.columns.scale", _nan), "a scale is negative or not finite"),
    "knots": (tensor("encoder_.columns.knots", np.ravel), "knots is no array of floats of 2"),
    "no knots": (tensor("encoder_.columns.knots", lambda a: a[:, :0]), "there are no knots"),
    "gaps": (tensor("encoder_.columns.gaps", np.logical_not), "indicators of other columns"),
    "gaps of numbers": (tensor("encoder_.columns.gaps", lambda a: a.astype("i8")), "gaps is no array of 7 bools"),
    "indicator": (tensor("encoder_.columns.indicator", _nan), "an indicator is beyond 3"),
    "indicators": (tensor("encoder_.columns.indicator", lambda a: a[:1]), "indicators of other columns"),
    "levels": (_column("levels", _with(0, ["Graz", "Lyon", "Porto", 3])), "'city' has no levels"),
    "the same level": (_column("levels", _with(0, ["Graz", "Graz", "Lyon", "Porto"])), "'city' has no levels"),
    "levels of text": (_column("levels", _with(0, "abcd")), "'city' has no levels"),
    "fewer levels": (_column("levels", _with(0, ["Graz"])), "constants"),
    "no levels": (_column("levels", lambda levels: levels[1:]), "levels of other columns"),
    "more levels": (_column("levels", _with(1, [str(i) for i in range(99)])), "parameters of shapes"),
    "flags": (tensor("encoder_.columns.pooled", lambda a: a[1:]), "pooled is no array of 7 bools"),
    "other flags": (tensor("encoder_.columns.missing", np.logical_not), "constants|parameters of shapes"),
    "constants": (tensor("encoder_.columns.constants", lambda a: a[1:]), "constants"),
    "more constants": (tensor("encoder_.columns.constants", lambda a: np.append(a, 0.0)), "of other columns"),
    "constants that are none": (tensor("encoder_.columns.constants", _nan), "a constant is beyond 3"),
    "a large constant": (tensor("encoder_.columns.constants", lambda a: 1e300 * a), "a constant is beyond 3"),
    "members that are none": (put("fitted", "members_", 3), "nothing refers to its arrays"),
    "a member with more": (put(*MEMBER, "code", 1), r"members_\[0\] has"),
    "best epoch": (put(*MEMBER, "best_epoch", 4), r"members_\[0\] has best_epoch 4"),
    "no epoch": (put(*MEMBER, "best_epoch", 0), r"members_\[0\] has best_epoch 0"),
    "weight of text": (put(*MEMBER, "weight", "1"), r"members_\[0\] has weight '1'"),
    "weight": (put(*MEMBER, "weight", 0.25), "add up to 1"),
    "weight that is none": (put(*MEMBER, "weight", float("nan")), "weights of at least 0"),
    "negative weight": (put(*MEMBER, "weight", -0.5), "weights of at least 0"),
    "a curve of curves": (tensor("members_.0.loss_curve", lambda a: a[:, None]), r"members_\[0\] has no curves"),
    "a short curve": (tensor("members_.0.loss_curve", lambda a: a[:0]), r"members_\[0\] has best_epoch"),
    "activation": (put(*RECIPE, "activation", "softmax"), "not of hidden layers"),
    "units": (put(*RECIPE, "hidden_layer_sizes", {"tuple": [9, 2**40]}), "parameters of shapes"),
    "units of text": (put(*RECIPE, "hidden_layer_sizes", "ab"), "'hidden_layer_sizes' parameter"),
    "units of bools": (put(*RECIPE, "hidden_layer_sizes", [9, True]), "hidden_layer_sizes must be integers"),
    "many layers": (put(*RECIPE, "hidden_layer_sizes", [1] * 10**6), "fewer parameters than layers"),
    "frequencies": (put(*RECIPE, "frequencies", 2**62), "parameters of shapes"),
    "width": (put(*RECIPE, "category_width", 10**15), "parameters of shapes"),
    "bins": (put(*RECIPE, "n_bins", 2**40), "'n_bins' parameter"),
    "a shape": (tensor("members_.0.parameters.7", lambda a: a.T), "parameters of shapes"),
    "a vector": (tensor("members_.0.parameters.7", np.ravel), "parameters of shapes"),
    "another precision": (tensor("members_.0.parameters.7", lambda a: a.astype("f8")), "not arrays of float32"),
    "integers": (tensor("members_.0.parameters.7", lambda a: a.astype("i4")), "not arrays of float32"),
}  # fmt: skip


REGRESSOR = {
    "_scale": (tensor("_scale", lambda a: 0 * a), "_scale is not positive"),
    "_center": (tensor("_center", _nan), "_center is not of 3 finite numbers"),
    "_least": (tensor("_least", lambda a: a[:2]), "_least is not of 3 finite numbers"),
    "_greatest": (tensor("_greatest", lambda a: a.astype("f4")), "_greatest is not of 3 finite numbers"),
    "_one": (put("fitted", "_one", True), "_one is true, but n_outputs_ is 3"),
    "_one of a number": (put("fitted", "_one", 1), "_one is 1"),
    "_loss": (put("fitted", "_loss", "log_loss"), "_loss is 'log_loss'"),
    "missing": (lambda document, tensors: document["fitted"].pop("_one"), "it lacks _one"),
    "classes": (put("fitted", "classes_", []), "has no attributes classes_"),
    "outputs": (put("fitted", "n_outputs_", 2**40), "_center is not of 1099511627776 finite numbers"),
}


CHANGES = {("words", case): change for case, change in CLASSIFIER.items()}
CHANGES |= {("several outputs", case): change for case, change in REGRESSOR.items()}


@pytest.mark.parametrize("kind, case", CHANGES)
def test_what_is_no_model(kind, case, parts, tmp_path):
    change, match = CHANGES[kind, case]
    said = forging.refusal_of(change, *parts(kind), tmp_path)
    assert re.match(f"is corrupt: .*({match})", said), said


NEWER = {
    "parameters": (put("params", "later", 1), "TabularMLPClassifier has no later here"),
    "another class": (put("class", "TabularMLPRegressor"), "TabularMLPRegressor has no class_weight, focal_gamma here"),
    "recipes": (put(*RECIPE, "later", 1), "recipes have no later here"),
    "the recipe": (put("params", "recipe", "tuple", 0, "later", 1), "recipes have no later here"),
}


@pytest.mark.parametrize("case", NEWER)
def test_newer_versions(case, parts, tmp_path):
    change, said = NEWER[case]
    assert forging.refusal_of(change, *parts("words"), tmp_path) == f"was written by a newer version: {said}."


def test_files_of_an_older_version_take_the_defaults_of_recipes(models, parts, tmp_path):
    document, tensors = parts("words")
    for i in range(2):
        recipe = at(document, "fitted", "members_", i, "recipe")
        recipe["dict"] = [pair for pair in recipe["dict"] if pair[0] not in ("piecewise_rate", "piecewise_width")]
    path = tmp_path / "forged"
    path.write_bytes(forging.put_together(document, tensors))
    assert same(fastmlp.load(path).predict_proba(X), models["words"].predict_proba(X))
