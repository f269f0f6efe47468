"""What a prediction owes to the features: gradients, and integrated gradients."""

from numbers import Integral

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_scalar
from sklearn.utils.validation import check_is_fitted

from .. import engine
from ..training.arrays import fits_precision, plain_array

__all__ = ["ExplanationMixin", "checked_target", "refuse_sorted"]


class ExplanationMixin:
    def input_gradients(self, X, *, target=None, raw_score=False):
        """Gradients of the model's outputs with respect to its inputs: how each feature moves the prediction.

        ``gradients[i, j]`` is ``d f(x) / d x_j`` at ``x = X[i]``, exact, by backpropagation down to the input; f is a
        column of `predict_proba` or `predict`, of `decision_function` with loss="hinge". The method, and the name
        saliency for the absolute values, are Simonyan, Vedaldi and Zisserman (2014), "Deep inside convolutional
        networks: visualising image classification models and saliency maps", https://arxiv.org/abs/1312.6034

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        target : int or array-like of int of shape (n_samples,), default=None
            The output to explain, or one for each sample: the index of a column of `predict`, or for classifiers of
            `predict_proba`, which is that of a class in `classes_`; for multiclass-multioutput the columns of all
            outputs count, one after the other. None means all, and for two classes ``classes_[1]``. For two classes
            raw scores and margins of index 0 are minus those of index 1.
        raw_score : bool, default=False
            Take f before the link function, `out_activation_`: logits in place of probabilities, the logarithm in place
            of a mean, quantiles before they are sorted. The gradients of probabilities near 0 and 1 vanish, those of
            logits do not.

        Returns
        -------
        gradients : ndarray of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            Three axes for all of several outputs. Dense, of the dtype of `predict`. At a kink of the activation, such
            as 0 of relu, the slope is that of training.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If `predict` refuses X, or the target is no index of an output, or raw_score is False with
            sort_quantiles=True: a column of `predict` then shows different outputs in different rows.

        See Also
        --------
        integrated_gradients : Shares of the features in a prediction, which add up to it.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastmlp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(random_state=1, max_iter=1000).fit(X, y)
        >>> model.input_gradients(X).shape
        (150, 3, 4)
        >>> predicted = model.predict_proba(X).argmax(axis=1)
        >>> model.input_gradients(X, target=predicted, raw_score=True).shape
        (150, 4)
        """
        predictor, X = _rows(self, X, raw_score)
        target, first_class = _target(self, predictor, target, X.shape[0])
        gradients = engine.input_gradients(predictor, X, target, raw_score=raw_score)
        return np.negative(gradients, out=gradients, where=first_class)

    def integrated_gradients(self, X, *, baseline=None, target=None, raw_score=False, n_steps=50):
        """Shares of the features in the difference between the outputs at X and at a baseline.

        ``attributions[i, j]`` is ``(x_j - x'_j)`` times the mean of ``d f / d x_j`` along the straight line from the
        baseline x' to ``x = X[i]``. They are complete: their sum over j is ``f(x) - f(x')``, up to the error of the
        quadrature, Gauss-Legendre's with `n_steps` nodes. Sundararajan, Taly and Yan (2017), "Axiomatic attribution for
        deep networks", https://arxiv.org/abs/1703.01365

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        baseline : array-like of shape (n_features,) or (n_samples, n_features), default=None
            Where the paths begin, for all samples or each: a sample that stands for no information. None means zeros,
            of standardized data the mean.
        target : int or array-like of int of shape (n_samples,), default=None
            As of `input_gradients`.
        raw_score : bool, default=False
            As of `input_gradients`.
        n_steps : int, default=50
            Nodes on each path. For smooth activations the error falls faster than any power of `n_steps`, for those
            with kinks about as 1 / n_steps. Time is in proportion to it, memory is not.

        Returns
        -------
        attributions : ndarray of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            As of `input_gradients`; the mean is kept in float64.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            As of `input_gradients`, or if baseline does not fit X or n_steps is no int >= 1.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from fastmlp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(activation="tanh", random_state=1, max_iter=1000).fit(X, y)
        >>> shares = model.integrated_gradients(X, baseline=X.mean(axis=0), target=0)
        >>> difference = model.predict_proba(X) - model.predict_proba(X.mean(axis=0, keepdims=True))
        >>> bool(np.allclose(shares.sum(axis=1), difference[:, 0]))
        True
        """
        check_scalar(n_steps, "n_steps", Integral, min_val=1)
        predictor, X = _rows(self, X, raw_score)
        target, first_class = _target(self, predictor, target, X.shape[0])
        X = X.toarray(order="C") if issparse(X) else X
        baseline = _baseline(baseline, X, predictor.dtype)
        nodes, weights = leggauss(n_steps)  # on [-1, 1]
        attributions = engine.integrated_gradients(
            predictor, X, baseline, (1 + nodes) / 2, weights / 2, target, raw_score=raw_score
        )
        return np.negative(attributions, out=attributions, where=first_class)


def refuse_sorted(estimator, raw_score):
    """Refuse gradients of quantiles that `predict` sorts."""
    if not raw_score and estimator._quantile_ranks is not None:
        raise ValueError(
            "sort_quantiles=True makes a column of predict another output of the network from row to row:"
            " raw_score=True explains the outputs as they are before they are sorted."
        )


def _rows(estimator, X, raw_score):
    check_is_fitted(estimator)
    refuse_sorted(estimator, raw_score)
    return estimator._rows_to_predict(X)


def _target(estimator, predictor, target, n_rows):
    """The engine's target, and where its one output is 1 minus the one that is asked for: the first of two classes."""
    n_outputs = predictor.coefs[-1].shape[1]
    of_two_classes = is_classifier(estimator) and n_outputs == 1
    if target is None:
        return (0 if n_outputs == 1 else None), False
    index = checked_target(target, 2 if of_two_classes else n_outputs, n_rows)
    if of_two_classes:
        return 0, (np.asarray(index) == 0)[..., None]
    return index, False


def checked_target(target, n_outputs, n_rows):
    """Indices of outputs as the engine takes them: an int, or intp of shape (n_rows,).

    Raises
    ------
    ValueError, TypeError
        If they are none.
    """
    indices = np.asarray(target)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"target must be None or indices of outputs, integers, got {type(target)} of {indices.dtype}.")
    if indices.shape not in ((), (n_rows,)):
        raise ValueError(f"target must be an index or of shape ({n_rows},), one for each sample, got {indices.shape}.")
    for index in (indices.min(), indices.max()):
        if not 0 <= index < n_outputs:
            raise ValueError(f"target must be an index of an output, at least 0 and below {n_outputs}, got {index}.")
    return int(indices) if indices.ndim == 0 else plain_array(indices, np.intp)


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
