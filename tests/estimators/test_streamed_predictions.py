"""Predictions for sources are those for arrays, block by block."""

import os

import numpy as np
import pytest
from streamed import CODES, KINDS, LABELS, NUMBERS, SMALL, WEIGHTS, N, X, npy, parquet

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MODELS = {
    "labels": (MLPClassifier, LABELS, {}),
    "two labels": (MLPClassifier, LABELS == "yes", {}),
    "margins": (MLPClassifier, LABELS, {"loss": "hinge"}),
    "indicators": (MLPClassifier, np.stack([CODES > 0, CODES > 1], axis=1).astype(int), {}),
    "outputs": (MLPClassifier, np.stack([CODES, CODES // 2 + 7], axis=1), {}),
    "numbers": (MLPRegressor, NUMBERS, {}),
    "several numbers": (MLPRegressor, np.stack([NUMBERS, -NUMBERS], axis=1), {}),
    "quantiles": (MLPRegressor, NUMBERS, {"loss": "quantile", "quantile": [0.1, 0.9], "sort_quantiles": True}),
}
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_predictions(name, dtype, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    kind, y, params = MODELS[name]
    model = kind(**SMALL, **params).fit(X.astype(dtype), y)
    source = fastmlp.scan_npy(X.astype(dtype), window_rows=300)
    for method in METHODS:
        if not hasattr(model, method):
            continue
        expected, streamed = getattr(model, method)(X.astype(dtype)), getattr(model, method)(source)
        model.predict_to(source, tmp_path / "out.parquet", method)
        written = pq.read_table(tmp_path / "out.parquet")
        expected, streamed = (
            np.hstack(values) if isinstance(values, list) else values for values in (expected, streamed)
        )
        assert streamed.dtype == expected.dtype
        np.testing.assert_array_equal(streamed, expected)
        columns = [np.array(column.to_pylist()) for column in written.columns]
        np.testing.assert_array_equal(np.stack(columns, axis=1).reshape(expected.shape), expected)
        assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == len(source.blocks)


def test_names_of_columns(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")

    def names(name, method):
        kind, y, params = MODELS[name]
        model = kind(**SMALL, **params).fit(X, y)
        model.predict_to(fastmlp.scan_npy(X), tmp_path / "out.parquet", method)
        return pq.read_schema(tmp_path / "out.parquet").names

    assert names("labels", "predict") == ["prediction"]
    assert names("labels", "predict_proba") == ["probability_no", "probability_perhaps", "probability_yes"]
    assert names("margins", "decision_function") == ["score_no", "score_perhaps", "score_yes"]
    assert names("two labels", "predict_log_proba") == ["log_probability_False", "log_probability_True"]
    assert names("outputs", "predict") == ["prediction_0", "prediction_1"]
    labels = ("0_0", "0_1", "0_2", "1_7", "1_8")
    assert names("outputs", "predict_proba") == [f"probability_{label}" for label in labels]
    assert names("indicators", "predict") == ["prediction_0", "prediction_1"]
    assert names("several numbers", "predict") == ["prediction_0", "prediction_1"]


@pytest.mark.parametrize("kind", KINDS)
def test_files_without_targets(kind, tmp_path):
    """A source for prediction needs the features alone, and reads nothing else."""
    pq = pytest.importorskip("pyarrow.parquet")
    model = kind(**SMALL).fit(parquet(tmp_path, kind))
    with_targets = fastmlp.scan_parquet(tmp_path, target="y")
    for path in tmp_path.iterdir():
        pq.write_table(pq.read_table(path).drop_columns(["y"]), path)
    np.testing.assert_array_equal(model.predict(fastmlp.scan_parquet(tmp_path)), model.predict(npy(kind)))
    with pytest.raises(ValueError, match="has changed since it was scanned"):
        model.predict(with_targets)


def test_scores(tmp_path):
    y = np.stack([CODES, CODES // 2], axis=1)
    cases = (
        (MLPClassifier, LABELS, {}),
        (MLPClassifier, y, {}),
        (MLPRegressor, NUMBERS, {}),
        (MLPRegressor, NUMBERS, {"loss": "quantile"}),
    )
    for kind, targets, params in cases:
        for weights in (None, WEIGHTS):
            source = npy(kind, y=targets, weights=weights)
            model = kind(**SMALL, **params).fit(source)
            assert model.score(source) == model.score(X, targets, weights)
        with pytest.raises(ValueError, match="y must be None beside X="):
            model.score(source, targets)
        with pytest.raises(ValueError, match="X has no targets"):
            model.score(fastmlp.scan_npy(X))
        with pytest.raises(ValueError, match="y must be given where X is no source, got None"):
            model.score(X)


def test_what_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    model, source, path = MLPClassifier(**SMALL).fit(X, LABELS), fastmlp.scan_npy(X), tmp_path / "out.parquet"
    model.predict_to(source, path)
    written = path.read_bytes()
    with pytest.raises(TypeError, match="source must be one of scan_parquet or scan_npy, got ndarray"):
        model.predict_to(X, path)
    with pytest.raises(ValueError, match="method must be one of 'predict', .*, got 'score'"):
        model.predict_to(source, path, "score")
    with pytest.raises(AttributeError, match="has no attribute 'decision_function'"):
        model.predict_to(source, path, "decision_function")
    values = X.copy()
    values[N - 1, 0] = np.nan
    for predict in (model.predict, lambda source: model.predict_to(source, path)):
        with pytest.raises(ValueError, match="Input X contains NaN: column 0, row 502 of X"):
            predict(fastmlp.scan_npy(values, window_rows=100))
    assert path.read_bytes() == written and os.listdir(tmp_path) == ["out.parquet"]
