"""Ensembles over tables whose rows come from files."""

import math
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

import fastmlp
from fastmlp import TabularMLPClassifier, TabularMLPRegressor

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N = 600
SMALL = {
    "n_members": 2,
    "max_iter": 3,
    "random_state": 0,
    "recipe": {"hidden_layer_sizes": (16,), "frequencies": 4, "batch_size": 32},
}
KINDS = [TabularMLPClassifier, TabularMLPRegressor]


def frame(n=N):
    """Columns of all kinds, with gaps, and targets of both kinds that follow from them."""
    rng = np.random.default_rng(0)
    size, day = rng.lognormal(size=n), rng.integers(0, 2000, n)
    city = rng.choice(["Graz", "Lyon", "Porto"], n)
    code = rng.integers(0, 30, n)
    gone = rng.random(n) < 0.1
    number = np.log(size) + (city == "Graz") + 0.1 * rng.standard_normal(n)
    return pa.table({
        "size": pa.array(size, mask=gone),
        "count": pa.array(rng.integers(0, 9, n), pa.int16()),
        "city": pa.array(city, mask=np.roll(gone, 1)),
        "code": pa.array([f"code {c}" for c in code]).dictionary_encode(),
        "new": pa.array(rng.random(n) < 0.3),
        "day": pa.array(day.astype("datetime64[D]"), mask=np.roll(gone, 2)),
        "empty": pa.nulls(n, pa.float32()),
        "label": pa.array(np.array(["no", "perhaps", "yes"])[np.digitize(number, [0, 1])]),
        "number": pa.array(number),
        "weight": pa.array(rng.uniform(0, 2, n)),
    })


TABLE = frame()
FEATURES = TABLE.schema.names[:7]


def column(kind):
    return "label" if kind is TabularMLPClassifier else "number"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    for i, start in enumerate(range(0, N, 200)):
        pq.write_table(TABLE.slice(start, 200), folder / f"{i}.parquet", row_group_size=40)
    pq.write_table(TABLE.slice(0, 0), folder / "empty.parquet")
    return folder


def scan(folder, kind, **keywords):
    return fastmlp.scan_parquet(folder, **{"target": column(kind), "features": FEATURES, **keywords})


def targets(kind):
    return TABLE.column(column(kind)).to_numpy()


def assert_same(one, other):
    assert one.encoder_.state()["names"] == other.encoder_.state()["names"]
    assert len(one.members_) == len(other.members_)
    for a, b in zip(one.members_, other.members_, strict=True):
        assert (a.loss_curve_, a.validation_scores_, a.weight_) == (b.loss_curve_, b.validation_scores_, b.weight_)
        for own, given in zip(a.parameters, b.parameters, strict=True):
            np.testing.assert_array_equal(own, given)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_one_window_are_those_of_the_frame(kind, folder):
    weights = TABLE.column("weight").to_numpy()
    X = TABLE.select(FEATURES)
    in_memory = kind(**SMALL).fit(X, targets(kind), weights)
    model = kind(**SMALL).fit(scan(folder, kind, sample_weight="weight"))
    assert_same(model, in_memory)
    np.testing.assert_array_equal(model.oof_prediction_, in_memory.oof_prediction_)
    assert model.feature_names_in_.tolist() == FEATURES
    assert model.score(scan(folder, kind, sample_weight="weight")) == in_memory.score(X, targets(kind), weights)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_of_sources(kind, folder, tmp_path):
    model = kind(**SMALL).fit(TABLE.select(FEATURES), targets(kind))
    source = scan(folder, kind, target=None, window_rows=50)  # predictions need no targets
    expected = model.predict(TABLE.select(FEATURES))
    np.testing.assert_array_equal(model.predict(source), expected)
    model.predict_to(source, tmp_path / "predicted.parquet")
    assert pq.read_table(tmp_path / "predicted.parquet").column("prediction").to_pylist() == expected.tolist()
    if kind is TabularMLPClassifier:
        model.predict_to(source, tmp_path / "probabilities.parquet", "predict_proba")
        written = pq.read_table(tmp_path / "probabilities.parquet")
        assert written.schema.names == ["probability_no", "probability_perhaps", "probability_yes"]
        np.testing.assert_array_equal(np.stack(written.columns, axis=1), model.predict_proba(source))


def test_a_source_of_numbers(folder, tmp_path):
    X = np.random.default_rng(1).standard_normal((200, 3))
    X[::9, 1] = np.nan
    y = X[:, 0] > 0
    np.save(tmp_path / "X.npy", X)
    source = fastmlp.scan_npy(tmp_path / "X.npy", y)
    assert_same(TabularMLPClassifier(**SMALL).fit(source), TabularMLPClassifier(**SMALL).fit(X, y))


@pytest.mark.parametrize("kind", KINDS)
def test_validation_data_from_a_source(kind, folder):
    X, y = TABLE.select(FEATURES), targets(kind)
    model = kind(**SMALL).fit(X, y, X_val=scan(folder, kind))
    assert_same(model, kind(**SMALL).fit(X, y, X_val=X, y_val=y))


def test_sources_that_are_refused(folder, tmp_path):
    model = TabularMLPClassifier(**SMALL)
    source = scan(folder, TabularMLPClassifier)
    with pytest.raises(ValueError, match="y must be None beside X=scan_parquet"):
        model.fit(source, [0, 1])
    with pytest.raises(ValueError, match="X has no targets: name them where scan_parquet"):
        model.fit(scan(folder, TabularMLPClassifier, target=None))
    with pytest.raises(ValueError, match=r"X_val=.* has 600 rows, more than its window of 100"):
        model.fit(source, X_val=scan(folder, TabularMLPClassifier, window_rows=100))
    assert not hasattr(model, "members_")
    model.fit(source)
    table = TABLE.set_column(0, "size", pa.array(["large"] * N))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    with pytest.raises(ValueError, match=r"row group 0 of .*a.parquet': Column 'size' is numeric, and has 'large'"):
        model.predict(scan(tmp_path, TabularMLPClassifier))
    with pytest.raises(TypeError, match=r"column 'city' of .*0.parquet' is string: features needs columns of int"):
        fastmlp.MLPClassifier().fit(source)


# More rows than a window has

WINDOW = 200


@pytest.mark.parametrize("kind", KINDS)
def test_larger_than_a_window(kind, folder):
    source = scan(folder, kind, window_rows=WINDOW, sample_weight="weight")
    weights = {"class_weight": "balanced"} if kind is TabularMLPClassifier else {}
    one, two = (kind(**SMALL | {"n_members": 12, "max_iter": 8}, **weights, n_jobs=n).fit(source) for n in (1, 2))
    assert_same(one, two)
    X = TABLE.select(FEATURES)
    assert one.score(X, targets(kind)) > 0.6
    assert abs(one.oof_score_ - one.score(X, targets(kind))) < 0.3
    assert not hasattr(one, "oof_prediction_")
    if kind is TabularMLPRegressor:
        number = TABLE.column("number").to_numpy()
        assert (one._least, one._greatest) == (number.min(), number.max())


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_encoded_as_those_of_the_frame(kind, folder):
    model = kind(**SMALL)
    source = scan(folder, kind, window_rows=WINDOW)
    rows = model._read_blocks(source, None, None)
    X, codes, y, weight = rows.files.data
    numbers, expected = model.encoder_.transform(TABLE.select(FEATURES))
    np.testing.assert_array_equal(X, numbers)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(y, model._engine_y(targets(kind), "y"))
    assert weight is None and 0.5 * WINDOW < len(rows.X) < 1.5 * WINDOW
    np.testing.assert_array_equal(rows.labels, targets(kind)[rows.files.drawn])
    held_out = np.array([3, 7])
    own = rows.files.all_but(held_out)
    parts = [*own.epoch(np.random.default_rng(0))]
    assert len(parts) > 1 and max(map(len, parts)) <= WINDOW
    left = np.setdiff1d(np.arange(N), rows.files.drawn[held_out])
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), left)
    assert own.n_rows == len(left) and np.isin(own.sample, left).all()
    rows.files.close()


def test_class_weights_of_counts(folder):
    model = TabularMLPClassifier(**SMALL, class_weight="balanced")
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW, sample_weight="weight")
    rows = model._read_blocks(source, None, None)
    expected = compute_sample_weight("balanced", targets(TabularMLPClassifier)) * TABLE.column("weight").to_numpy()
    np.testing.assert_allclose(rows.files.data[3], expected, rtol=1e-12)
    rows.files.close()


@pytest.mark.parametrize("kind", KINDS)
def test_validation_data_beside_a_larger_source(kind, folder):
    X, y = TABLE.select(FEATURES).slice(0, 100), targets(kind)[:100]
    model = kind(**SMALL, scoring="r2" if kind is TabularMLPRegressor else None)
    model.fit(scan(folder, kind, window_rows=WINDOW), X_val=X, y_val=y)
    member = model.members_[0]
    alone = copy(model)
    alone.members_, alone._average = [replace(member, weight_=1.0)], None
    assert alone.score(X, y) == pytest.approx(member.validation_scores_[member.best_epoch_ - 1], abs=1e-6)
    assert not hasattr(model, "oof_score_")


def test_a_fit_goes_on_from_its_checkpoint(folder, tmp_path):
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW)
    whole = TabularMLPClassifier(**SMALL).fit(source)

    def stop(estimator, epoch, metrics):
        if metrics["member"] == 1:
            raise RuntimeError("killed")

    model = TabularMLPClassifier(**SMALL, n_jobs=1, checkpoint_path=tmp_path / "kept", callbacks=stop)
    with pytest.raises(RuntimeError, match="killed"):
        model.fit(source)
    told = []
    model.set_params(callbacks=lambda estimator, epoch, metrics: told.append(metrics["member"])).fit(source)
    assert {*told} == {1}
    assert_same(model, whole)
    with pytest.raises(ValueError, match="of another fit: X differs"):
        model.fit(scan(folder, TabularMLPClassifier, window_rows=WINDOW + 50))


def test_bad_values_of_a_larger_source(tmp_path):
    model = TabularMLPClassifier(**SMALL)
    size = TABLE.column("size").to_pylist()
    size[333] = math.inf
    pq.write_table(TABLE.set_column(0, "size", pa.array(size)), tmp_path / "a.parquet", row_group_size=50)
    source = scan(tmp_path, TabularMLPClassifier, window_rows=WINDOW)
    with pytest.raises(ValueError, match=r"row group 6 of .*a.parquet': Column 'size' contains infinity"):
        model.fit(source)
    ids = TABLE.append_column("id", pa.array([f"row {i}" for i in range(N)]))
    pq.write_table(ids, tmp_path / "a.parquet", row_group_size=50)
    source = scan(tmp_path, TabularMLPClassifier, window_rows=WINDOW, features=["size", "id"])
    with pytest.raises(ValueError, match=r"row group 4 of .*: Column 'id' has more than 200 levels"):
        model.fit(source)
    with pytest.raises(ValueError, match=r"X=.*: name it where the source is made"):
        model.fit(source, targets(TabularMLPClassifier))
    weight = TABLE.column("weight").to_pylist()
    weight[120] = -1.0
    table = TABLE.set_column(TABLE.schema.get_field_index("weight"), "weight", pa.array(weight))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=50)
    with pytest.raises(ValueError, match=r"row group 2 of .*a.parquet'"):
        model.fit(scan(tmp_path, TabularMLPClassifier, window_rows=WINDOW, sample_weight="weight"))
    assert not hasattr(model, "members_")
