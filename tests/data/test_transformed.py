"""Sources whose features a transformer changes when they are read."""

import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from streamed import KINDS, SMALL, N, X, assert_same, npy, parquet, targets

import fastmlp

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_scaled(kind, dtype, tmp_path):
    values = X.astype(dtype)
    source = parquet(tmp_path, kind, dtype)
    scaler = source.partial_fit(StandardScaler())
    whole = StandardScaler().fit(values)
    np.testing.assert_allclose(scaler.mean_, whole.mean_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaler.scale_, whole.scale_, rtol=1e-6)
    scaled = source.transformed(scaler)
    assert scaled.dtype == dtype and scaled.names is None and scaled.window_rows == source.window_rows
    model = kind(**SMALL, shuffle=False)
    streamed, expected = clone(model).fit(scaled), clone(model).fit(scaler.transform(values), targets(kind))
    assert_same(streamed, expected)
    np.testing.assert_array_equal(streamed.predict(scaled), expected.predict(scaler.transform(values)))
    np.testing.assert_array_equal(make_pipeline(scaler, streamed).predict(values), streamed.predict(scaled))


def test_other_numbers_of_features():
    source = npy(None, y=targets(KINDS[1]), window=N)
    pca = source.partial_fit(IncrementalPCA(n_components=2, batch_size=6))
    reduced = source.transformed(pca)
    assert reduced.n_features == 2
    np.testing.assert_array_equal(reduced.load()[0], pca.transform(X))
    assert (source.transformed(StandardScaler().fit(X)).description() != reduced.description()).any()
    again = source.transformed(IncrementalPCA(n_components=2, batch_size=6).fit(X))
    assert (again.description() != reduced.description()).any()


class Doubling:
    """Has no value that another process could compare with."""

    def __init__(self):
        self.lock = threading.Lock()

    def transform(self, rows):
        return 2 * rows


def test_transformers_without_a_value(tmp_path):
    source = npy(KINDS[0]).transformed(Doubling())
    model = KINDS[0](**SMALL, shuffle=False).fit(source)
    assert_same(model, clone(model).fit(2 * X, targets(KINDS[0])))
    with pytest.raises(ValueError, match="checkpoint_path needs parameters that can be compared .*: transformer holds"):
        model.set_params(checkpoint_path=tmp_path / "c").fit(source)


def test_what_is_refused():
    source = npy(KINDS[0])
    with pytest.raises(TypeError, match="transformer must have partial_fit, which PCA has not"):
        source.partial_fit(PCA())
    with pytest.raises(ValueError, match=r"X: X has 7 features, but StandardScaler is expecting 3 features"):
        source.transformed(StandardScaler().fit(X[:, :3]))
    with pytest.raises(ValueError, match="FunctionTransformer must make as many rows of numbers"):
        source.transformed(FunctionTransformer(lambda rows: rows[:0]))
    logarithms = source.transformed(FunctionTransformer(lambda rows: np.where(rows > 3, np.inf, rows)))
    i, j = np.argwhere(X > 3)[0]
    with pytest.raises(ValueError, match=rf"infinity: column {j} of what FunctionTransformer makes, row {i} of X"):
        logarithms.load()
    values = X.copy()
    values[99, 4] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN: column 4, row 99 of X"):
        fastmlp.scan_npy(values, window_rows=50).partial_fit(StandardScaler())
