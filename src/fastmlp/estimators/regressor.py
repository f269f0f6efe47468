"""Regression."""

from typing import ClassVar

from scipy.sparse import issparse
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from ..engine import LOSS_ROWS
from ..training.scores import R2
from .base import BaseMLP, is_stochastic
from .inputs import unchanged_on_error

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron for regression, with scikit-learn's parameters, attributes and results.

    Minimises half the squared error, averaged over outputs, or half the Poisson deviance, each with an L2 penalty
    ``alpha / 2 * sum(coefs_**2)`` divided by the number (weight) of the samples in the batch.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "quantile", "log_cosh", "poisson", "gamma", "tweedie"}, \
            default="squared_error"
        "poisson", "gamma" and "tweedie" predict through an exponential and need ``y >= 0``, "gamma" ``y > 0``.
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Units of each hidden layer. ``()`` is linear (with "poisson" log-linear) regression.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation of the hidden layers.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        "sgd" and "adam" train by mini-batches, "lbfgs" on all the data at once and in float64.
    alpha : float, default=0.0001
        Strength of the L2 penalty on `coefs_`; intercepts are free.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; "auto" is ``min(200, n_samples)``. Not used by "lbfgs".
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of solver "sgd". "invscaling" is ``learning_rate_init / (t_ + 1)**power_t``, `t_` counting the
        samples seen; "adaptive" divides the rate by 5 instead of stopping, until it is 1e-6 or less.
    learning_rate_init : float, default=0.001
        Initial rate of "sgd" and "adam".
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Most epochs, or iterations of "lbfgs".
    shuffle : bool, default=True
        Draw a new order of the rows for every epoch.
    random_state : int, RandomState instance or None, default=None
        Source of initial weights, of the validation split and of the order of rows. An int starts anew at every
        call of `fit` and `partial_fit`.
    tol : float, default=1e-4
        An epoch must improve the best loss, or validation score, by this much to count as progress; for "lbfgs" the
        largest gradient at which to stop.
    verbose : bool or int, default=False
        Print the loss of every epoch or iteration.
    warm_start : bool, default=False
        Let `fit` go on from the parameters that are there.
    momentum : float, default=0.9
        Momentum of "sgd", in [0, 1].
    nesterovs_momentum : bool, default=True
        Use Nesterov's form of it.
    early_stopping : bool, default=False
        Set rows aside, score them after every epoch, stop when the score no longer improves, and keep the
        parameters of the best. Not used by "lbfgs".
    validation_fraction : float, default=0.1
        Share of the rows set aside by `early_stopping`.
    beta_1 : float, default=0.9
        Decay of adam's first moment, in [0, 1).
    beta_2 : float, default=0.999
        Decay of adam's second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to adam's denominator, outside of the bias correction.
    n_iter_no_change : int or inf, default=10
        Epochs without progress to put up with.
    max_fun : int, default=15000
        Most evaluations of loss and gradient by "lbfgs".

    Attributes
    ----------
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer. What is assigned to them is what the next call uses.
    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer, likewise.
    loss_ : float
        Loss of the last epoch or iteration, penalty included; NaN if interrupted before the end of the first.
    best_loss_ : float or None
        Lowest loss of an epoch; None with `early_stopping`. Not for "lbfgs".
    loss_curve_ : list of float
        Loss of each epoch. Not for "lbfgs".
    n_iter_ : int
        Epochs or iterations of the last call.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Outputs.
    t_ : int
        Training samples seen, epochs times rows.
    n_features_in_ : int
        Features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had any that were all strings.
    validation_scores_ : list of float or None
        R2 on the validation rows after each epoch, with `early_stopping`. Not for "lbfgs".
    best_validation_score_ : float or None
        Highest of them. Not for "lbfgs".
    out_activation_ : str
        "identity", for Poisson loss "exp".

    See Also
    --------
    MLPClassifier : The same network for classification.
    from_sklearn : Take over a model fitted by scikit-learn.

    Notes
    -----
    With the same integer seed and float64 data the results are scikit-learn's to rounding; `docs/deviations.md` lists
    where they are meant to differ. The source of the method is Glorot and Bengio (2010) for the initial weights,
    Kingma and Ba (2014) for adam, Nesterov (1983) and Sutskever et al. (2013) for sgd's momentum.

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
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({loss for loss, row in LOSS_ROWS.items() if row.target == "real"})],
    }
    _check_y: ClassVar[dict] = {"y_numeric": True}
    _validation_score = R2

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
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
        )
        self.loss = loss

    def _encode(self, y, first, incremental):
        if issparse(y):
            raise TypeError("y must be dense for regression, got a sparse matrix.")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.ndim == 1:
            y = y[:, None]
        domain = LOSS_ROWS[self.loss].domain
        if (domain == "y >= 0" and y.min() < 0) or (domain == "y > 0" and y.min() <= 0):
            raise ValueError(f"loss={self.loss!r} needs {domain}, got {y.min()}.")
        return (y if y.dtype.kind == "f" else y.astype(float)), y.shape[1], self.loss

    @available_if(is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train one epoch on the given data, going on from the parameters and the optimizer's state as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero.

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
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """Predict target values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, in the dtype of ``X @ coefs_[0]``.

        Raises
        ------
        ValueError
            If X has another number of features, or values that are not finite.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
