"""Regression."""

from typing import ClassVar

from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from ..borrowed import fit_context
from ..training.scores import R2
from .base import BaseMLP, Target, is_stochastic
from .parameters import CONSTRAINTS, DOCUMENTATION, keep_parameters, plain
from .streaming import targets_of
from .targets import check_numbers
from .values import LOSS_CONSTRAINTS, LOSS_DOCUMENTATION, ValuesMixin

__all__ = ["MLPRegressor"]


class MLPRegressor(ValuesMixin, RegressorMixin, BaseMLP):
    __doc__ = f"""Multilayer perceptron for regression: scikit-learn's parameters, attributes and results, and more.

    Minimises a loss with an L2 penalty ``alpha / 2 * sum(coefs_**2)`` divided by the number (weight) of the samples in
    the batch. The parameters up to `max_fun` are scikit-learn's; docs/options.md has the formulas and sources of the
    others.

    Parameters
    ----------
    loss : str, default="squared_error"
        "squared_error" (halved, averaged over outputs), "absolute_error", "huber", "log_cosh" and "quantile"; through
        an exponential "poisson" (half the deviance; y >= 0), "gamma" (likewise; y > 0) and "tweedie" (likewise;
        y >= 0).
{DOCUMENTATION["network"]}
{DOCUMENTATION["training"]}
{LOSS_DOCUMENTATION.format(training="Training is the same.", unit="")}
{DOCUMENTATION["more"]}

    Attributes
    ----------
{DOCUMENTATION["attributes"]}
{DOCUMENTATION["outputs of numbers"]}

    See Also
    --------
    MLPClassifier : The same network for classification.
    from_sklearn : Take over a model fitted by scikit-learn.

    Notes
    -----
    With scikit-learn's parameters, the same integer seed and float64 data the results are scikit-learn's to rounding;
    docs/deviations.md lists where they are meant to differ. The source of the method is Glorot and Bengio (2010) for
    the initial weights, Kingma and Ba (2015) for adam, Nesterov (1983) and Sutskever et al. (2013) for sgd's momentum.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastmlp import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> model = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **CONSTRAINTS,
        **LOSS_CONSTRAINTS,
    }
    _check_y: ClassVar[dict] = {"y_numeric": True}

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        quantile=0.5,
        sort_quantiles=False,
        huber_delta=1.0,
        tweedie_power=1.5,
        weight_init="auto",
        dropout=0.0,
        input_dropout=0.0,
        weight_decay=None,
        max_norm=None,
        clip_norm=None,
        clip_value=None,
        lr_schedule=None,
        lr_schedule_params=None,
        warmup=0,
        scoring=None,
        callbacks=None,
        dtype=None,
        n_jobs=None,
        checkpoint_path=None,
        checkpoint_every=1,
    ):
        keep_parameters(self, locals())

    def _checked_y(self, y, name):
        check_numbers(y, name)
        return y

    def _encode(self, y, incremental):
        if issparse(y):
            raise TypeError("y must be dense for regression, got a sparse matrix.")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.ndim == 1:
            y = y[:, None]
        self._check_domain(y)
        options = self._loss_options()
        y = self._columns_of_outputs(y if y.dtype.kind == "f" else y.astype(float), options)
        return Target(y, y.shape[1], plain(self.loss), options)

    def _is_beyond_scikit_learn(self):
        return self.loss not in ("squared_error", "poisson")

    def _quick_score(self):
        return R2

    def score(self, X, y=None, sample_weight=None):
        """Coefficient of determination of the predictions, R2; for loss="quantile" D2 of the pinball loss.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Samples. A source has y and sample_weight too.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            True values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        score : float
            `sklearn.metrics.r2_score`, or the mean of `sklearn.metrics.d2_pinball_score` over levels and outputs.
        """
        y, sample_weight = targets_of(X, y, sample_weight)
        check_numbers(y, "y")
        if self.loss != "quantile":
            return super().score(X, y, sample_weight)
        return self._d2_pinball(y, self.predict(X), sample_weight)

    @available_if(is_stochastic)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train one epoch on the given data, going on from the parameters and the optimizer's state as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero.
        X_val, y_val, sample_weight_val : array-like, default=None
            Validation data as in `fit`: their loss and score after the epoch go to `validation_loss_curve_` and
            `validation_scores_`.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        AttributeError
            With solver="lbfgs".
        ValueError, TypeError
            As in `fit`; the estimator is then as it was before the call.
        """
        return self._partial_fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def predict(self, X):
        """Predict target values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, in the dtype of ``X @ coefs_[0]`` or as `dtype` says. For several quantiles of shape
            (n_samples, n_levels), with `sort_quantiles` each row in the order of the levels.

        Raises
        ------
        ValueError
            If X has another number of features, or values that are not finite.
        """
        outputs = self._in_order(self._outputs(X))
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
