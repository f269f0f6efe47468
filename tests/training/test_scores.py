"""Validation scores are those of scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from fastmlp.training.scores import R2, Accuracy, NegativeBrierScore

rng = np.random.RandomState(0)
WEIGHTS = [None, rng.uniform(0, 2, 30) * (rng.uniform(size=30) < 0.8)]


@pytest.mark.parametrize("weight", WEIGHTS)
def test_accuracy(weight):
    outputs = rng.uniform(size=(30, 4))
    codes = rng.randint(4, size=30)
    assert Accuracy(codes, weight)(outputs) == accuracy_score(codes, outputs.argmax(axis=1), sample_weight=weight)
    for columns in (1, 2):
        y = rng.randint(2, size=(30, columns)).astype(np.uint8)
        expected = accuracy_score(y, outputs[:, :columns] > 0.5, sample_weight=weight)
        assert Accuracy(y, weight)(outputs[:, :columns]) == expected


def _in_float64(y, outputs, weight):
    return r2_score(y.astype(float), outputs.astype(float), sample_weight=weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_r2(weight, dtype):
    y = rng.standard_normal((30, 3)).astype(dtype)
    for outputs in (y + rng.standard_normal((30, 3)).astype(dtype), y, np.zeros_like(y)):
        assert R2(y, weight)(outputs) == pytest.approx(_in_float64(y, outputs, weight))
    y[:, 1] = 2  # no variance: 1 if met, else 0
    for outputs in (y, y + 1):
        assert R2(y, weight)(outputs) == pytest.approx(_in_float64(y, outputs, weight))


def test_r2_of_a_model_that_diverged():
    y = rng.standard_normal((30, 1))
    assert np.isnan(R2(y, None)(np.full((30, 1), np.inf)))
    assert np.isnan(R2(y, None)(np.full((30, 1), np.nan)))
    assert R2(y, None)(np.full((30, 1), 1e200)) == -np.inf


@pytest.mark.parametrize("weight", WEIGHTS)
def test_brier_score(weight):
    outputs = rng.uniform(size=(30, 4)).astype(np.float32)
    codes = rng.randint(4, size=30)
    of_rows = ((outputs.astype(np.float64) - np.eye(4)[codes]) ** 2).sum(axis=1)
    assert NegativeBrierScore(codes, weight)(outputs) == pytest.approx(-np.average(of_rows, weights=weight), abs=1e-6)
