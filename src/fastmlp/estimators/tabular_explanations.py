"""How the numbers of a table move a prediction: gradients through the encoder and all members."""

from functools import partial

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..data.fitting import NumericColumn
from ..engine import LOSSES, Predictor, input_gradients
from .explanations import checked_target, refuse_sorted
from .inputs import effective_n_jobs

__all__ = ["TabularExplanationMixin"]


class TabularExplanationMixin:
    """For the estimators of tables."""

    def input_gradients(self, X, *, target=None, raw_score=False):
        """Gradients of the predictions with respect to the columns of numbers, in the units of the table.

        ``gradients[i, j]`` is ``d f(x) / d x_j`` at ``x = X[i]``, by backpropagation through all members, embeddings
        and the scaling of the columns; f is a column of `predict_proba` or `predict`. The method, and the name saliency
        for the absolute values, are Simonyan, Vedaldi and Zisserman (2014), "Deep inside convolutional networks:
        visualising image classification models and saliency maps", https://arxiv.org/abs/1312.6034

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features)
            A table as in `fit`; a dict of scalars is one row.
        target : int or array-like of int of shape (n_samples,), default=None
            The output to explain, or one for each sample: the index of a column of `predict`, or of `predict_proba`,
            which is that of a class in `classes_`. None means all, and for two classes ``classes_[1]``.
        raw_score : bool, default=False
            Take f before the link function: of a probability of two classes its logit, of several its logarithm, with
            loss="poisson", "gamma" and "tweedie" the logarithm of the value; and of values those that are not held
            within the range of training, quantiles before they are sorted. The gradients of probabilities near 0 and 1
            vanish, those of logits do not.

        Returns
        -------
        gradients : ndarray of float64 of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            In the order of `feature_names_in_`; three axes for all of several outputs. Columns of numbers are per unit,
            durations and times of the day per second, dates per day. NaN where there is no number to move: in columns
            of categories, strings and bools, in those that were empty in `fit`, and in gaps. 0 where `predict` is held
            at an end of the range of training. The year, the month and the weekday of a date jump, and count nothing.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If `predict` refuses X, or the target is no index of an output, or raw_score is False with
            sort_quantiles=True.

        Examples
        --------
        >>> from fastmlp import TabularMLPRegressor
        >>> X = {"size": [1.5, 2.0, 2.5, float("nan")] * 20, "colour": ["red", "green", "red", None] * 20}
        >>> model = TabularMLPRegressor(n_members=2, max_iter=20, random_state=0).fit(X, [3.0, 4.0, 5.0, 4.5] * 20)
        >>> model.input_gradients({"size": 2.0, "colour": "green"}).shape
        (1, 2)
        """
        check_is_fitted(self)
        refuse_sorted(self, raw_score)
        numbers, codes, slopes = self.encoder_.transform_with_slopes(X)
        n_rows, two_classes = len(numbers), is_classifier(self) and self.n_outputs_ == 2
        if target is not None:
            target = checked_target(target, self.n_outputs_, n_rows)
        elif self.n_outputs_ == 1 or two_classes:
            target = self.n_outputs_ - 1
        outputs = self._kept_average()[2](numbers, codes)
        if raw_score and two_classes:
            gradients = _of_logits(self, numbers, codes, outputs, target)
        else:
            gradients = _of_average(self, numbers, codes, target)
            if not is_classifier(self):
                gradients = _of_values(self, gradients, outputs, target, raw_score)
            elif raw_score:
                gradients = _divided(gradients, _of_target(outputs, target))
        return _by_columns(self.encoder_, gradients, slopes)


def _of_average(estimator, numbers, codes, target):
    """Gradients of the average of the members' outputs by the continuous numbers, in float64."""
    n_jobs, n = estimator.n_jobs, estimator.encoder_.n_continuous_
    max_threads = None if n_jobs is None else partial(effective_n_jobs, n_jobs)
    several = () if target is not None else (estimator.n_outputs_,)
    total = np.zeros((len(numbers), *several, n))
    for layers, parameters, weight in estimator._weighted_members():
        if weight and n:
            predictor = Predictor.of(layers, parameters, LOSSES[estimator._loss], max_threads=max_threads)
            total += weight * input_gradients(predictor, numbers, target, codes=codes)[..., :n]
    return total


def _of_logits(estimator, numbers, codes, outputs, target):
    """Gradients of log(p / (1 - p)): those of p divided by p (1 - p)."""
    less = outputs.argmin(axis=1)  # of the class that is more probable p would be rounded to 1
    gradients = _of_average(estimator, numbers, codes, less)
    gradients[less != target] *= -1
    return _divided(gradients, outputs.prod(axis=1, dtype=np.float64))


def _of_values(estimator, gradients, outputs, target, raw_score):
    """Gradients of values in the units of y, within its range, or before that and the link function."""
    if raw_score and LOSSES[estimator._loss] == "exp":
        return _divided(gradients, _of_target(outputs, target))
    scale = np.broadcast_to(estimator._scale, outputs.shape)
    gradients *= _of_target(scale, target)[..., None]
    if not raw_score:
        values = outputs * scale + estimator._center
        held = (values < estimator._least) | (values > estimator._greatest)
        gradients[_of_target(held, target)] = 0
    return gradients


def _of_target(values, target):
    """The columns of a target: all, one, or one for each row."""
    return values if target is None else values[np.arange(len(values)), target]


def _divided(gradients, values):
    """Gradients divided by the values of their outputs, 0 where these are too small for float32."""
    by = values[..., None]
    return np.divide(gradients, by, out=np.zeros_like(gradients), where=by > 0)


def _by_columns(encoder, gradients, slopes):
    """Gradients by continuous numbers as those by columns, NaN for columns without."""
    numeric = [(i, column) for i, column in enumerate(encoder.columns_) if isinstance(column, NumericColumn)]
    by_columns = np.full((*gradients.shape[:-1], encoder.n_features_in_), np.nan)
    if numeric:
        gradients *= slopes if gradients.ndim == 2 else slopes[:, None]
        starts = np.cumsum([0, *(len(column.fields) for _, column in numeric)])[:-1]
        by_columns[..., [i for i, _ in numeric]] = np.add.reduceat(gradients, starts, axis=-1)
    return by_columns
