"""Validation scores, computed once per epoch: the constant part is prepared once per fit."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

__all__ = ["R2", "Accuracy", "Deviations", "NegativeBrierScore", "NegativeFocalLoss", "NegativeLogLoss", "NegativeLoss"]


class Accuracy:
    """Share of rows, by weight, whose labels are all predicted right.

    Parameters
    ----------
    y : ndarray of shape (n,) of class codes, or (n, n_outputs) of 0 and 1
    sample_weight : ndarray of shape (n,) or None
    threshold : float, default=0.5
        Output above which a label is predicted.
    """

    def __init__(self, y, sample_weight, threshold=0.5):
        self.y, self.sample_weight, self.threshold = y, sample_weight, threshold

    def __call__(self, outputs):
        if self.y.ndim == 1:
            hits = outputs.argmax(axis=1) == self.y
        else:
            hits = ((outputs > self.threshold) == self.y).all(axis=1)
        return float(np.average(hits, weights=self.sample_weight))


class R2:
    """Coefficient of determination, averaged over outputs; NaN where a prediction is not finite.

    As `sklearn.metrics.r2_score`, without its validation: an output of zero variance scores 1 if predicted exactly,
    else 0.

    Parameters
    ----------
    y : ndarray of shape (n, n_outputs)
    sample_weight : ndarray of shape (n,) or None
    """

    def __init__(self, y, sample_weight):
        self.y = y.astype(np.float64)
        self.weight = np.ones((len(y), 1)) if sample_weight is None else sample_weight[:, None]
        mean = (self.weight * self.y).sum(axis=0) / self.weight.sum()
        self.spread = (self.weight * (self.y - mean) ** 2).sum(axis=0)

    def __call__(self, outputs):
        if not np.isfinite(outputs).all():
            return float("nan")
        with np.errstate(over="ignore"):  # of a diverging model: the score is then -inf
            residual = (self.weight * (self.y - outputs) ** 2).sum(axis=0)
        return _r2(residual, self.spread)


def _r2(residual, spread):
    """The coefficient from sums of squares of each output, around the predictions and around the mean."""
    ratio = np.divide(residual, spread, out=(residual > 0).astype(np.float64), where=spread > 0)
    return float((1.0 - ratio).mean())


class Deviations(NamedTuple):
    """What R2 of some rows is made of; that of all rows is the sum of their parts."""

    weight: float
    mean: np.ndarray  # of each output's targets
    spread: np.ndarray  # sum of squares around the mean
    residual: np.ndarray  # and around the predictions

    @classmethod
    def of(cls, y, outputs, weight):
        """Of rows: y and outputs of shape (n, n_outputs), weights of shape (n,), not all zero."""
        y, weights = y.astype(np.float64), weight[:, None]
        mean = np.average(y, axis=0, weights=weight)
        spread, residual = ((weights * (y - around) ** 2).sum(axis=0) for around in (mean, outputs))
        return cls(float(weight.sum()), mean, spread, residual)

    def plus(self, other):
        """The sum of two: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance"."""
        weight, apart = self.weight + other.weight, other.mean - self.mean
        mean = self.mean + apart * (other.weight / weight)
        between = apart**2 * (self.weight * other.weight / weight)
        return Deviations(weight, mean, self.spread + other.spread + between, self.residual + other.residual)

    def r2(self):
        """As `R2` has it."""
        return _r2(self.residual, self.spread)


class NegativeLogLoss:
    """Mean logarithm of the probability of the right class, as scikit-learn's scorer "neg_log_loss" has it.

    Probabilities are held within [eps, 1 - eps], with eps that of their dtype.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Codes of classes.
    sample_weight : ndarray of shape (n,) or None
    """

    def __init__(self, y, sample_weight):
        self.y, self.sample_weight, self.rows = y, sample_weight, np.arange(len(y))

    def __call__(self, outputs):
        eps = np.finfo(outputs.dtype).eps
        probabilities = np.clip(outputs[self.rows, self.y], eps, 1 - eps)
        return float(np.average(np.log(probabilities.astype(np.float64)), weights=self.sample_weight))


class NegativeBrierScore:
    """Mean over rows, by weight, of -sum_k (p_k - 1[k = y])^2.

    Brier: Verification of Forecasts Expressed in Terms of Probability, 1950.

    Parameters
    ----------
    y : ndarray of int of shape (n,)
        Codes of classes.
    sample_weight : ndarray of shape (n,) or None
    """

    def __init__(self, y, sample_weight):
        self.rows, self.y, self.sample_weight = np.arange(len(y)), y, sample_weight

    def __call__(self, outputs):
        squares = np.einsum("nk,nk->n", outputs, outputs) - 2 * outputs[self.rows, self.y]
        return -float(np.average(squares, weights=self.sample_weight)) - 1.0


class NegativeFocalLoss:
    """Mean over rows, by weight, of (1 - p_y)^gamma log(p_y).

    Lin et al.: Focal Loss for Dense Object Detection, 2017, equation 4, negated. Probabilities are at least eps of
    their dtype.

    Parameters
    ----------
    gamma : float
    y : ndarray of int of shape (n,)
        Codes of classes.
    sample_weight : ndarray of shape (n,) or None
    """

    def __init__(self, gamma, y, sample_weight):
        self.gamma, self.rows, self.y, self.sample_weight = gamma, np.arange(len(y)), y, sample_weight

    def __call__(self, outputs):
        p = np.clip(outputs[self.rows, self.y], np.finfo(outputs.dtype).eps, 1).astype(np.float64)
        return float(np.average((1 - p) ** self.gamma * np.log(p), weights=self.sample_weight))


class NegativeLoss:
    """Mean over rows, by weight, of a loss of values summed over outputs, negated.

    What the engine's evaluation gives, of outputs that no network need have given, such as an average.

    Parameters
    ----------
    loss : str
        A loss of values, of the engine's table.
    options : dict
        Its "quantiles", "huber_delta" or "tweedie_power", as `Network` takes them.
    y : ndarray of shape (n, n_outputs)
    sample_weight : ndarray of shape (n,) or None
    """

    def __init__(self, loss, options, y, sample_weight):
        self.loss, self.options, self.sample_weight = _LOSSES[loss], options, sample_weight
        self.y = y.astype(np.float64)

    def __call__(self, outputs):
        losses = self.loss(self.y, outputs.astype(np.float64), **self.options)
        return -float(np.average(losses.sum(axis=1), weights=self.sample_weight))


def _huber(y, p, huber_delta):
    r = np.abs(y - p)
    return np.where(r > huber_delta, huber_delta * (r - 0.5 * huber_delta), 0.5 * r * r)


def _quantile(y, p, quantiles):
    r = y - p
    return np.maximum(quantiles * r, (np.array(quantiles) - 1) * r)


def _log_cosh(y, p):
    r = np.abs(y - p)
    return r + np.log1p(np.exp(-2 * r)) - math.log(2)


def _positive(p):
    """Outputs of an exponential, of which float32 rounds the smallest to 0."""
    return np.maximum(p, np.finfo(np.float32).tiny)


def _poisson(y, p):
    p = _positive(p)
    return xlogy(y, y) - xlogy(y, p) - y + p


def _gamma(y, p):
    ratio = y / _positive(p)
    return ratio - np.log(ratio) - 1


def _tweedie(y, p, tweedie_power):
    p, one, two = _positive(p), 1 - tweedie_power, 2 - tweedie_power
    return y**two / (one * two) - y * p**one / one + p**two / two


_LOSSES = {
    "absolute_error": lambda y, p: np.abs(y - p),
    "huber": _huber,
    "log_cosh": _log_cosh,
    "quantile": _quantile,
    "poisson": _poisson,
    "gamma": _gamma,
    "tweedie": _tweedie,
}
