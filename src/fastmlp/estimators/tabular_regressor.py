"""Regression on tables."""

from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.validation import column_or_1d

from ..engine import LOSSES
from ..training.portfolio import ALONE_REGRESSION, REGRESSION
from ..training.recipes import Recipe
from ..training.scores import R2, NegativeLoss
from .fitted import OF_TABULAR_REGRESSOR
from .parameters import keep_parameters, plain
from .streaming import targets_of
from .tabular_base import BaseTabularMLP
from .tabular_parameters import DEFAULT_MEMBERS, TABULAR_CONSTRAINTS, TABULAR_DOCUMENTATION
from .targets import check_numbers
from .values import LOSS_CONSTRAINTS, LOSS_DOCUMENTATION, ValuesMixin

__all__ = ["TabularMLPRegressor"]

_SCORE = """R2 with loss="squared_error", else the
        negative mean over rows of the loss, summed over outputs, of targets as the networks see them (see `loss`)"""
_TRAINING_OF_SORTED = """Training is the
        same, but where `scoring` has a scorer, which sees the sorted ones."""


class TabularMLPRegressor(ValuesMixin, RegressorMixin, BaseTabularMLP):
    __doc__ = f"""Regression on tables as they are: columns of numbers, categories and dates, with gaps.

    Makes numbers and codes of the columns, and averages the predictions of several small networks, which are trained on
    folds. They are like RealMLP [1]_, with embeddings of each number and category. Targets are standardised, and
    predictions are held within the range of the training targets.

    Parameters
    ----------
{TABULAR_DOCUMENTATION["network"].format(n_members=DEFAULT_MEMBERS, score=_SCORE)}
    loss : str, default="squared_error"
        "squared_error", "absolute_error", "huber", "log_cosh" and "quantile" of the standardised targets; through an
        exponential of targets divided by their mean "poisson" (half the deviance; y >= 0), "gamma" (likewise; y > 0)
        and "tweedie" (likewise; y >= 0).
{LOSS_DOCUMENTATION.format(training=_TRAINING_OF_SORTED, unit=", in standard deviations of y")}
{TABULAR_DOCUMENTATION["training"]}

    Attributes
    ----------
{TABULAR_DOCUMENTATION["attributes"].format(shape="(n_samples,) or (n_samples, n_outputs)", what="predictions")}

    See Also
    --------
    TabularMLPClassifier : The same for classification.
    MLPRegressor : The network of scikit-learn, for matrices of numbers.

{TABULAR_DOCUMENTATION["references"]}

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastmlp import TabularMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = TabularMLPRegressor(n_members=2, max_iter=20, random_state=0).fit(X, y)
    >>> model.oof_score_ > 0.3
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **TABULAR_CONSTRAINTS,
        **LOSS_CONSTRAINTS,
    }
    _attributes: ClassVar[dict] = OF_TABULAR_REGRESSOR
    _portfolio: ClassVar[tuple] = REGRESSION
    _alone: ClassVar[Recipe] = ALONE_REGRESSION

    def __init__(
        self,
        n_members=None,
        *,
        time_limit=None,
        scoring=None,
        categorical_features="from_dtype",
        loss="squared_error",
        quantile=0.5,
        sort_quantiles=False,
        huber_delta=1.0,
        tweedie_power=1.5,
        max_iter=None,
        validation_fraction=0.2,
        n_jobs=None,
        callbacks=None,
        checkpoint_path=None,
        verbose=False,
        random_state=None,
        recipe=None,
    ):
        keep_parameters(self, locals())

    def _checked_y(self, y, name):
        if issparse(y):
            raise TypeError(f"{name} must be dense, got a sparse matrix.")
        check_numbers(y, name)
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
        self._check_domain(y)
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _learn_targets(self, y, few):
        columns = self._columns_of_outputs(y.reshape(len(y), -1), self._loss_options())
        self.n_outputs_, self._one = columns.shape[1], y.ndim == columns.shape[1] == 1
        # a loss that predicts through an exponential scales with y, but is not the same for y + 1
        through_exponential = LOSSES[plain(self.loss)] == "exp"
        with np.errstate(over="ignore", invalid="ignore"):
            mean = columns.mean(axis=0)
            spread = mean if through_exponential else _deviation(columns)
        if not np.isfinite([mean, spread]).all():
            raise ValueError(f"y is too large: its mean or standard deviation overflows, got {np.abs(y).max()}.")
        self._scale = np.where(spread > 0, spread, 1.0)
        self._center = np.zeros(self.n_outputs_) if through_exponential else mean
        ends = self._columns_of_outputs(few.reshape(len(few), -1), self._loss_options())
        self._least, self._greatest = ends.min(axis=0), ends.max(axis=0)

    def _engine_y(self, y, name):
        columns = y.reshape(len(y), -1)
        n_columns = self.n_outputs_ // len(self._levels or (self.quantile,))
        if columns.shape[1] != n_columns:
            raise ValueError(f"{name} must have {n_columns} columns, got {columns.shape[1]}.")
        return ((columns - self._center) / self._scale).astype(np.float32)

    def _engine_loss(self, recipe):
        return plain(self.loss), self._loss_options()

    def _quick_score(self, rows, held_out, weight):
        if self.scoring is None and self.loss != "squared_error":
            loss, options = self._engine_loss(None)
            score = NegativeLoss(loss, options, rows.y[held_out], weight)
            least, greatest = ((end - self._center) / self._scale for end in (self._least, self._greatest))
            return lambda outputs: score(np.clip(outputs, least, greatest))
        if self.scoring not in (None, "r2") or len(self._levels or ()) > 1:
            return None
        labels = rows.labels[held_out].reshape(len(held_out), -1)
        exponents = -np.frexp(self._scale)[1]  # squares of small targets would be zero
        r2 = R2(np.ldexp(labels, exponents), weight)
        return lambda outputs: r2(np.ldexp(self._in_units(outputs), exponents))

    def _in_units(self, outputs):
        values = outputs * self._scale
        values += self._center
        np.maximum(values, self._least, out=values)
        return np.minimum(values, self._greatest, out=values)

    def _from_outputs(self, outputs):
        values = self._in_units(self._in_order(outputs))
        return values[:, 0] if self._one else values

    def predict(self, X):
        """Predict target values.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features), or source
            A table as in `fit`; a dict of scalars is one row. A source is read block by block.

        Returns
        -------
        y : ndarray of float64 of shape (n_samples,) or (n_samples, n_outputs)
            Within the range of the training targets. For several quantiles of shape (n_samples, n_levels), with
            `sort_quantiles` each row in the order of the levels.

        Raises
        ------
        ValueError, TypeError
            If columns lack or are unknown, or a column of numbers has other values.
        """
        return self._from_outputs(self._outputs(X))

    def score(self, X, y=None, sample_weight=None):
        """Coefficient of determination of the predictions, R2; for loss="quantile" D2 of the pinball loss.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features), or source
            A table as in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            True values. None beside a source alone, which has them, and weights if any.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        score : float
            `sklearn.metrics.r2_score`, or the mean of `sklearn.metrics.d2_pinball_score` over levels and outputs.
        """
        y, sample_weight = targets_of(X, y, sample_weight)
        if self.loss != "quantile":
            return super().score(X, y, sample_weight)
        return self._d2_pinball(y, self.predict(X), sample_weight)


def _deviation(columns):
    """Standard deviations of columns; squares of small values, which a power of two enlarges, are not lost."""
    exponents = np.minimum(np.frexp(np.abs(columns).max(axis=0))[1], 0)
    return np.ldexp(np.ldexp(columns, -exponents).std(axis=0), exponents)
