"""What a prediction owes to the features: gradients, and integrated gradients."""

from numbers import Integral

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_scalar
from sklearn.utils.validation import check_is_fitted

from .. import engine
from .inputs import fits_precision, plain_array

__all__ = ["input_gradients", "integrated_gradients"]


def input_gradients(estimator, X, target, raw_score):
    """`BaseMLP.input_gradients`."""
    predictor, X = _rows(estimator, X)
    target, first_class = _target(estimator, predictor, target, X.shape[0])
    gradients = engine.input_gradients(predictor, X, target, raw_score=raw_score)
    return np.negative(gradients, out=gradients, where=first_class)


def integrated_gradients(estimator, X, baseline, target, raw_score, n_steps):
    """`BaseMLP.integrated_gradients`."""
    check_scalar(n_steps, "n_steps", Integral, min_val=1)
    predictor, X = _rows(estimator, X)
    target, first_class = _target(estimator, predictor, target, X.shape[0])
    X = X.toarray(order="C") if issparse(X) else X
    baseline = _baseline(baseline, X, predictor.dtype)
    nodes, weights = leggauss(n_steps)  # on [-1, 1]
    attributions = engine.integrated_gradients(
        predictor, X, baseline, (1 + nodes) / 2, weights / 2, target, raw_score=raw_score
    )
    return np.negative(attributions, out=attributions, where=first_class)


def _rows(estimator, X):
    check_is_fitted(estimator)
    return estimator._rows_to_predict(X, estimator._current_predictor())


def _target(estimator, predictor, target, n_rows):
    """The engine's target, and where its one output is 1 minus the one that is asked for: the first of two classes."""
    n_outputs = predictor.coefs[-1].shape[1]
    of_two_classes = is_classifier(estimator) and n_outputs == 1
    if target is None:
        return (0 if n_outputs == 1 else None), False
    n_columns = 2 if of_two_classes else n_outputs
    indices = np.asarray(target)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"target must be None or indices of outputs, integers, got {type(target)} of {indices.dtype}.")
    if indices.shape not in ((), (n_rows,)):
        raise ValueError(f"target must be an index or of shape ({n_rows},), one for each sample, got {indices.shape}.")
    for index in (indices.min(), indices.max()):
        if not 0 <= index < n_columns:
            raise ValueError(f"target must be an index of an output, at least 0 and below {n_columns}, got {index}.")
    if of_two_classes:
        return 0, (indices == 0)[..., None]
    return (int(indices) if indices.ndim == 0 else plain_array(indices, np.intp)), False


def _baseline(baseline, X, dtype):
    """Rows where the paths begin, one or as many as X has, in the precision of the model."""
    if baseline is None:
        return np.zeros((1, X.shape[1]), dtype=dtype)
    baseline = check_array(
        baseline, dtype=(np.float64, np.float32), ensure_2d=False, ensure_min_samples=0, input_name="baseline"
    )
    if baseline.shape not in ((X.shape[1],), (1, X.shape[1]), X.shape):
        raise ValueError(f"baseline must be of shape ({X.shape[1]},) or {X.shape}, got {baseline.shape}.")
    if not fits_precision(baseline, dtype):
        raise ValueError(f"baseline has values beyond {dtype}, the precision of the model.")
    return plain_array(np.atleast_2d(baseline), dtype)
