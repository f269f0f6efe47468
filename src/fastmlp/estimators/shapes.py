"""Estimators of matrices whose rows have axes of their own: X of three axes or more, and networks by their shape."""

from math import prod
from numbers import Integral
from operator import is_not
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from ..data.sources import Source
from ..exports.layers import network_of, told

__all__ = ["ShapedRowsMixin", "axes_of", "told_layers"]


def axes_of(rows):
    """Axes of anything; 0 of a list whose entries have different shapes."""
    try:
        return np.ndim(rows)
    except ValueError:
        return 0


def is_bytes(X):
    """Whether X is a matrix of bytes, which the engine divides by 255 as it reads them."""
    return isinstance(X, np.ndarray) and X.dtype == np.uint8 and X.ndim == 2


class ShapedRowsMixin:
    """Goes before an estimator of matrices.

    `_check_row_shape`, `_structure` and `_make_layers` are those of the kind of network.
    """

    _auto_batch_size: ClassVar[int] = 64
    _transient: ClassVar[tuple] = ("_network", "_predictors", "_made_layers")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags

    def _layers(self, n_features, n_outputs):
        # the same object as long as nothing has changed, which predictors are told apart by
        of = self._structure()
        made = vars(self).get("_made_layers")
        key = self.input_shape_, n_features, n_outputs
        if made is None or made[0] != key or any(map(is_not, made[1], of)):
            self._made_layers = made = key, of, self._make_layers(n_features, n_outputs)
        return made[2]

    def _fit(self, *args, **kwargs):
        vars(self).pop("_made_layers", None)  # lists among the parameters may have other entries by now
        return super()._fit(*args, **kwargs)

    def _as_matrix(self, X, name, fitted):
        """X with its rows in one axis, and their shape; None where they are so."""
        if issparse(X):
            raise TypeError(f"Sparse data was passed for {name}, but dense data is required: use X.toarray().")
        if isinstance(X, list | tuple) and len(X) and isinstance(X[0], list | tuple | np.ndarray):
            # rows that are no sequences of numbers
            if len(X[0]) and isinstance(X[0][0], list | tuple | np.ndarray) and np.ndim(X[0][0]) > 0:
                X = np.asarray(X)
        shape = None
        if getattr(X, "ndim", 2) > 2:
            X = np.asarray(X)
            shape, X = X.shape[1:], X.reshape(len(X), prod(X.shape[1:]))
            self._check_row_shape(shape)
        return X, shape

    def _dtypes_of(self, X):
        return (np.uint8,) if is_bytes(X) else super()._dtypes_of(X)

    def _asked_shape(self):
        """The parameter `input_shape` as a tuple, or None."""
        if self.input_shape is None:
            return None
        if not self.input_shape or not all(isinstance(n, Integral) and n > 0 for n in self.input_shape):
            raise ValueError(f"input_shape={self.input_shape!r} must have integers > 0.")
        shape = tuple(map(int, self.input_shape))
        self._check_row_shape(shape)
        return shape

    def _shape_of_rows(self, shape, n_features):
        """The shape that is asked for, or that of X."""
        given = self._asked_shape()
        if given is None:
            return (n_features,) if shape is None else shape
        if shape not in (None, given) or prod(given) != n_features:
            raise ValueError(f"input_shape={given} does not go with rows of X of shape {shape or (n_features,)}.")
        return given

    def _as_in_fit(self, X, name="X"):
        """X as a matrix, refused if its rows have another shape than in `fit`."""
        if not hasattr(self, "input_shape_"):
            check_is_fitted(self)
        X, shape = self._as_matrix(X, name, True)
        if shape is not None and shape != (known := getattr(self, "input_shape_", shape)):
            raise ValueError(f"{name} has rows of shape {shape}, but {type(self).__name__} is expecting {known}.")
        return X

    def _validated(self, X, y, sample_weight, first, incremental, of=""):
        shape = None
        if isinstance(X, Source):
            _refuse_bytes(X)
        else:
            X, shape = self._as_matrix(X, f"X{of}", False) if first else (self._as_in_fit(X, f"X{of}"), None)
        data, target = super()._validated(X, y, sample_weight, first, incremental, of)
        if first:
            self.input_shape_ = self._shape_of_rows(shape, data.X.shape[1])
        return data, target

    def _stream(self, X, first):
        _refuse_bytes(X)
        streamed = super()._stream(X, first)
        if first:
            self.input_shape_ = self._shape_of_rows(None, X.n_features)
        return streamed

    def _outputs(self, X):
        if isinstance(X, Source):
            _refuse_bytes(X)
            return super()._outputs(X)
        X = self._as_in_fit(X)
        if is_bytes(X):
            outputs = self._current_predictors().of_rows(np.dtype(np.float32)).quick(np.ascontiguousarray(X))
            if outputs is not None:
                return outputs
        return super()._outputs(self._in_floats(X))

    def _in_floats(self, X):
        """Bytes divided by 255 in the precision of the model, all else as it is."""
        if not is_bytes(X):
            return X
        dtype = self._current_predictors().of_rows(np.dtype(np.float32)).dtype
        return np.divide(X, dtype.type(255), dtype=dtype)

    def _rows_to_predict(self, X):
        return super()._rows_to_predict(self._in_floats(self._as_in_fit(X)))

    def input_gradients(self, X, *, target=None, raw_score=False):
        """Gradients of the model's outputs with respect to its inputs, in the shape of a row.

        As of `MLPClassifier`; the absolute values are a saliency map: Simonyan, Vedaldi and Zisserman (2014), "Deep
        inside convolutional networks", https://arxiv.org/abs/1312.6034

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as `predict` takes them.
        target : int or array-like of int of shape (n_samples,), default=None
            The output to explain, or one for each sample; None means all.
        raw_score : bool, default=False
            Take outputs before the link function.

        Returns
        -------
        gradients : ndarray of shape (n_samples, ...) or (n_samples, n_outputs, ...)
            The last axes are those of a row of X. Of sequences of several lengths they are (channels, length of the
            longest), 0 behind the end.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If `predict` refuses X, or the target is no index of an output.
        """
        return self._in_shape(super().input_gradients(X, target=target, raw_score=raw_score), X)

    def integrated_gradients(self, X, *, baseline=None, target=None, raw_score=False, n_steps=50):
        """Shares of the inputs in the difference between the outputs at X and at a baseline, in the shape of a row.

        As of `MLPClassifier`: Sundararajan, Taly and Yan (2017), "Axiomatic attribution for deep networks",
        https://arxiv.org/abs/1703.01365

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as `predict` takes them.
        baseline : array-like, default=None
            Where the paths begin: a row, or one for each sample. None means zeros. Of sequences of several lengths it
            has the length of the sample.
        target : int or array-like of int of shape (n_samples,), default=None
            As of `input_gradients`.
        raw_score : bool, default=False
            As of `input_gradients`.
        n_steps : int, default=50
            Nodes on each path.

        Returns
        -------
        attributions : ndarray of shape (n_samples, ...) or (n_samples, n_outputs, ...)
            As of `input_gradients`.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            As of `input_gradients`, or if baseline does not fit X or n_steps is no int >= 1.
        """
        baseline = self._baseline_as_in_fit(baseline)
        shares = super().integrated_gradients(X, baseline=baseline, target=target, raw_score=raw_score, n_steps=n_steps)
        return self._in_shape(shares, X)

    def _baseline_as_in_fit(self, baseline):
        """Rows in one axis, of one in the shape of a row or of as many as X has."""
        if isinstance(baseline, np.ndarray) and 1 < baseline.ndim == len(getattr(self, "input_shape_", ())):
            if baseline.shape[0] == self.input_shape_[0] and baseline.shape[1:] != (self.n_features_in_,):
                baseline = baseline[None]
        return baseline if baseline is None or axes_of(baseline) == 1 else self._in_floats(self._as_in_fit(baseline))

    def _in_shape(self, gradients, X):
        """Gradients by columns in the shape that rows of X have."""
        shape = np.shape(X)[1:]
        return gradients.reshape(*gradients.shape[:-1], *shape) if len(shape) > 1 else gradients

    def to_sklearn(self):
        """Refuse: scikit-learn has no such network.

        Raises
        ------
        ValueError
            In any case.
        """
        raise ValueError(f"scikit-learn has no counterpart of {type(self).__name__}.")

    def _told(self):
        return {**super()._told(), "Layers": lambda estimator: " → ".join(told_layers(estimator))}


def _refuse_bytes(source):
    """Refuse a source whose bytes would not be divided by 255, as those of arrays are."""
    if source.has_bytes:
        raise ValueError(
            f'{source} has bytes, which count as divided by 255 in an array alone: give numpy.load(..., mmap_mode="r").'
        )


def told_layers(estimator):
    """The shape of a row, and what each layer leaves; list of str."""
    return [" x ".join(map(str, estimator.input_shape_)), *map(told, network_of(estimator).layers)]
