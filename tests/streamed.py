"""Data, sources of them, and what fits to sources are compared by."""

import numpy as np
import pytest
from sklearn.datasets import make_classification

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor

N, F = 503, 7
X, CODES = make_classification(N, F, n_informative=5, n_classes=3, random_state=0)
NUMBERS = np.sin(X[:, 0]) + X[:, 1]
LABELS = np.array(["no", "perhaps", "yes"])[CODES]
WEIGHTS = np.random.default_rng(0).uniform(0, 2, N)
SMALL = {"hidden_layer_sizes": (9, 5), "random_state": 0, "max_iter": 4, "batch_size": 32}
WINDOW = 100  # with blocks of 6 rows

KINDS = [MLPClassifier, MLPRegressor]


def targets(kind):
    return LABELS if kind is MLPClassifier else NUMBERS


def npy(kind, dtype=np.float64, window=WINDOW, weights=None, y=None):
    return fastmlp.scan_npy(X.astype(dtype), targets(kind) if y is None else y, weights, window_rows=window)


def parquet(folder, kind, dtype=np.float64, window=WINDOW, weights=None, rows=slice(None), group=30, size=130):
    """Four files, of row groups of which the last is a shorter one."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {f"f{j}": X[rows, j].astype(dtype) for j in range(F)} | {"y": targets(kind)[rows]}
    if weights is not None:
        columns["w"] = weights[rows]
    table = pa.table(columns)
    for i, start in enumerate(range(0, len(table), size)):
        pq.write_table(table.slice(start, size), folder / f"{i}.parquet", row_group_size=group)
    return fastmlp.scan_parquet(folder, target="y", sample_weight=None if weights is None else "w", window_rows=window)


def assert_same(one, other):
    assert one.loss_curve_ == other.loss_curve_ and one.t_ == other.t_
    assert one.learning_rate_curve_ == other.learning_rate_curve_
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    for a, b in zip(sum(one._optimizer.moments, []), sum(other._optimizer.moments, []), strict=True):
        np.testing.assert_array_equal(a, b)
