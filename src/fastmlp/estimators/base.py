"""What the classifier and the regressor share: parameters, one fit, one forward pass."""

import math
import warnings
from abc import ABC, abstractmethod
from contextlib import nullcontext, suppress
from itertools import pairwise
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ..engine import (
    ACTIVATIONS,
    LOSSES,
    OPTIMIZERS,
    Network,
    Predictor,
    single_threaded_blas,
)
from ..training import lbfgs, stochastic
from ..training.initialization import initialize
from ..training.optimizers import Optimizer
from ..training.stochastic import Progress, check_finite, is_finite
from .inputs import (
    check_layers,
    check_parameters,
    check_weights,
    engine_rows,
    hidden_units,
    plain_array,
    restored_on_error,
    unchanged_on_error,
)

__all__ = ["BaseMLP", "is_stochastic"]

# Attributes that exist only while they belong to this estimator in this process
_TRANSIENT = ("_network", "_spare", "_predictor")
# Attributes of the stochastic solvers only
_OF_EPOCHS = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_best_coefs",
    "_best_intercepts",
    "_no_improvement_count",
    "_optimizer",
)


def is_stochastic(estimator):
    """Whether the solver trains by epochs; raises AttributeError if not (for `available_if`)."""
    if estimator.solver not in OPTIMIZERS:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def computing_dtype(dtypes):
    """The engine's dtype for what NumPy computes with these."""
    return np.dtype(np.float32 if np.result_type(*dtypes) in (np.float16, np.float32) else np.float64)


class BaseMLP(BaseEstimator, ABC):
    """Parameters, fitting and the forward pass of both estimators."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "solver": [StrOptions({"lbfgs", *OPTIMIZERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    def __getstate__(self):
        return {key: value for key, value in super().__getstate__().items() if key not in _TRANSIENT}

    def __setstate__(self, state):
        super().__setstate__(state)
        self._keep_predictor()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def to_sklearn(self):
        """Give the model back as scikit-learn's own estimator; the opposite of `from_sklearn`.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            With the same parameters and, if fitted, copies of all that was learnt, the optimizer's state included.
        """
        from .interop import to_sklearn  # which knows both estimators

        return to_sklearn(self)

    # What differs between the two

    _check_y: ClassVar[dict] = {}  # how validate_data looks at y
    _validation_score = None  # (y, sample_weight) of the validation rows -> a function of the network's outputs

    @abstractmethod
    def _encode(self, y, first, incremental):
        """From validated y: y as the engine takes it (or floats of any kind), the number of outputs, the loss's name.

        Labels are learnt when `first`, else checked against those known.
        """

    # Fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the network to the training set.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. C-contiguous float32 or float64 and CSR are used where they lie, anything else is
            converted once. float32 is trained in float32, except by solver="lbfgs".
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or an indicator matrix; for regression real numbers.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero. None weighs all samples by 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are refused, or the weights become non-finite. The estimator is then as it
            was before the call.

        Warns
        -----
        ConvergenceWarning
            If the solver stopped for another reason than convergence.
        UserWarning
            If interrupted (Ctrl-C): the model after the last whole batch, or lbfgs iteration, is kept.
        """
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight)

    def _fit(self, X, y, sample_weight, incremental=False):
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        hidden = hidden_units(self.hidden_layer_sizes)
        if self.early_stopping and self.solver in OPTIMIZERS:
            if incremental:
                raise ValueError("partial_fit does not support early_stopping=True")
            if self.validation_fraction == 0:
                raise ValueError("validation_fraction must be in (0, 1) with early_stopping=True, got 0.")
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            order="C",
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=first,
            **self._check_y,
        )
        X = engine_rows(X)
        y, n_outputs, loss = self._encode(y, first, incremental)
        sample_weight = check_weights(sample_weight, X)
        units = (X.shape[1], *hidden, n_outputs)
        # taken away for the call, so that a partial_fit of another thread, or of a signal's handler, finds none of them
        kept = {key: vars(self).pop(key, None) for key in ("_network", "_spare", "_optimizer")} if incremental else {}
        if first:
            network = self._fresh_network(units, loss, X)
        else:
            network = self._resumed_network(units, loss, X, kept.get("_network"))
        if y.dtype.kind == "f":
            with np.errstate(over="ignore"):
                y = plain_array(y, network.dtype)
            if not is_finite(y):
                raise ValueError(f"y has values beyond {network.dtype}, in which X of dtype {X.dtype} is trained.")
        random_state = check_random_state(self.random_state)
        if first:
            initialize(network, "auto", X.dtype, random_state)
        try:
            network.bind(X, y, sample_weight)
            with single_threaded_blas() if network.uses_blas else nullcontext():
                if self.solver == "lbfgs":
                    self._fit_lbfgs(network, first)
                else:
                    validation = (
                        self._split(network, X, y, sample_weight, random_state) if self.early_stopping else None
                    )
                    self._fit_epochs(network, X.shape[0], random_state, validation, first, kept)
        finally:
            if incremental:  # the network stays for the next call, the data need not
                network.release()
        self.n_outputs_ = n_outputs
        self.out_activation_ = LOSSES[loss]
        self._random_state = random_state
        self._keep_predictor()
        return self

    def _fresh_network(self, units, loss, X):
        dtype = np.dtype(np.float64) if self.solver == "lbfgs" else X.dtype
        check_layers(units, self.solver, dtype.itemsize)
        return Network(units, self.activation, loss, dtype)

    def _resumed_network(self, units, loss, X, network):
        """A network with the parameters as the user left them: the given one, of the call before, if it fits."""
        floats = [coef.dtype for coef in self.coefs_ if isinstance(coef, np.ndarray) and coef.dtype.kind == "f"]
        dtype = computing_dtype(floats or [X.dtype])
        if self.solver == "lbfgs":
            dtype = np.dtype(np.float64)
        coefs, intercepts = check_parameters(self.coefs_, self.intercepts_, dtype)
        shapes = [coef.shape for coef in coefs]
        if shapes != list(pairwise(units)):
            raise ValueError(
                f"hidden_layer_sizes={units[1:-1]} with {units[0]} features and {units[-1]} outputs does not go on"
                f" from coefs_ of shapes {shapes}: set coefs_ to match, or fit anew with warm_start=False."
            )
        wanted = (units, self.activation, loss, dtype)
        if network is None or wanted != (network.layer_units, network.activation, network.loss, network.dtype):
            check_layers(units, self.solver, dtype.itemsize)
            network = Network(*wanted)
        own, given = network.coefs + network.intercepts, coefs + intercepts
        if any(a is not b for a, b in zip(own, given, strict=True)):
            # copied first: what the user assigned may be this network's own arrays in another order
            for array, values in zip(own, [values.copy() for values in given], strict=True):
                array[...] = values
        return network

    def _split(self, network, X, y, sample_weight, random_state):
        """Rows to train on, and the validation score of the network on the others as a function."""
        stratify = None
        if is_classifier(self) and network.layer_units[-1] == 1:
            stratify = y.astype(bool)
            if 1 < y.sum() < len(y) - 1:
                # scikit-learn joins the columns of a row to one word, in Python; a vector splits alike, so only
                # a class of one sample, whose name is in the error, goes the slow way
                stratify = stratify[:, 0]
        rows, held_out = train_test_split(
            np.arange(X.shape[0], dtype=np.intp),
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        weights = None if sample_weight is None else sample_weight[held_out]
        if weights is not None and not weights.any():
            raise ValueError("sample_weight is zero on all rows of the validation set.")
        if is_classifier(self) and len(self.classes_) == 1:
            return rows, lambda: 1.0  # which predict cannot miss
        score = self._validation_score(y[held_out], weights)
        return rows, lambda: score(network.predict(X, held_out))

    def _fit_lbfgs(self, network, first):
        n_iter, loss = lbfgs.train(
            network, alpha=self.alpha, max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol, verbose=self.verbose
        )
        check_finite(network.coefs + network.intercepts)
        for key in (*_TRANSIENT, *_OF_EPOCHS):
            vars(self).pop(key, None)
        self._set_parameters(network)
        self.n_iter_, self.loss_, self.t_ = n_iter, loss, 0 if first else getattr(self, "t_", 0)

    def _fit_epochs(self, network, n_rows, random_state, validation, first, kept):
        incremental = bool(kept)
        rows, validate = validation or (np.arange(n_rows, dtype=np.intp) if self.shuffle else None, None)
        n_rows = n_rows if rows is None else len(rows)
        batch_size = min(200, n_rows) if self.batch_size == "auto" else int(self.batch_size)
        if batch_size > n_rows:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
            batch_size = n_rows
        reused = network is kept.get("_network")
        optimizer = self._continued_optimizer(kept.get("_optimizer"), network, reused)
        if optimizer is None:
            optimizer = Optimizer(self.solver, vars(self)).on(network)
        progress = Progress() if first else self._progress(network)
        # only what is trained in place has something to lose
        in_place = network.coefs + network.intercepts + optimizer.state if reused else []
        with restored_on_error(in_place, kept.get("_spare")) as spare, unchanged_on_error(optimizer):
            stochastic.train(
                network,
                optimizer,
                progress,
                rows,
                n_rows,
                batch_size=batch_size,
                alpha=float(self.alpha),
                shuffle=self.shuffle,
                random_state=random_state,
                max_iter=self.max_iter,
                tol=self.tol,
                n_iter_no_change=self.n_iter_no_change,
                verbose=self.verbose,
                validate=validate,
                single_epoch=incremental,
            )
            check_finite(network.coefs + network.intercepts)
            self._set_parameters(network)
            self._set_progress(progress, first)
            self._optimizer = optimizer
            if incremental:
                self._network, self._spare = network, spare
            else:
                for key in _TRANSIENT:
                    vars(self).pop(key, None)

    def _continued_optimizer(self, optimizer, network, reused):
        """The given optimizer, of the call before, on this network, or None if it does not fit."""
        if optimizer is None or optimizer.name != self.solver or not optimizer.fits(network):
            return None
        return optimizer if reused and hasattr(optimizer, "state") else optimizer.on(network)

    def _set_parameters(self, network):
        self.coefs_, self.intercepts_ = list(network.coefs), list(network.intercepts)
        self.n_layers_ = len(network.layer_units)

    def _progress(self, network):
        """Where an earlier fit left off, as far as its attributes serve this one."""
        progress = Progress(t=getattr(self, "t_", 0))
        best = getattr(self, "best_validation_score_" if self.early_stopping else "best_loss_", None)
        if best is None:
            return progress
        if self.early_stopping:
            kept = [*getattr(self, "_best_coefs", ()), *getattr(self, "_best_intercepts", ())]
            params = network.coefs + network.intercepts
            if [a.shape for a in kept] != [a.shape for a in params]:
                return progress
            progress.best_params = [np.array(a, dtype=network.dtype) for a in kept]
        progress.best = best
        progress.no_improvement_count = getattr(self, "_no_improvement_count", 0)
        return progress

    def _set_progress(self, progress, first):
        def continued(name, values):
            before = None if first else getattr(self, name, None)
            if not isinstance(before, list):
                return values
            before.extend(values)
            return before

        self.n_iter_, self.t_, self.loss_ = progress.n_iter, progress.t, progress.loss
        self._no_improvement_count = progress.no_improvement_count
        self.loss_curve_ = continued("loss_curve_", progress.losses)
        best = progress.best
        if self.early_stopping:
            self.validation_scores_ = continued("validation_scores_", progress.scores)
            self.best_validation_score_, self.best_loss_ = -math.inf if best is None else best, None
            n_coefs = len(self.coefs_)
            self._best_coefs, self._best_intercepts = progress.best_params[:n_coefs], progress.best_params[n_coefs:]
        else:
            self.validation_scores_ = self.best_validation_score_ = None
            self.best_loss_ = math.inf if best is None else best
            for key in ("_best_coefs", "_best_intercepts"):
                vars(self).pop(key, None)

    # Prediction

    def _outputs(self, X):
        """The network's outputs, (n_samples, n_outputs_), in the dtype that NumPy gives X @ coefs_."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        predictor = self._current_predictor()
        if not hasattr(self, "feature_names_in_"):
            # validate_data takes longer than a small network; what it would find right is let through here
            outputs = predictor.quick(X)
            if outputs is not None:
                return outputs
        X = validate_data(self, X, accept_sparse="csr", order="C", reset=False)
        dtype = computing_dtype([X.dtype, *(getattr(coef, "dtype", np.float64) for coef in self.coefs_)])
        X = engine_rows(X if X.dtype in (np.float32, np.float64) else X.astype(dtype))
        if predictor.dtype != dtype:
            predictor = self._new_predictor(dtype)
        if predictor.coefs[0].shape[0] != X.shape[1]:
            raise ValueError(f"coefs_[0] must be of shape ({X.shape[1]}, fan_out), got {predictor.coefs[0].shape}.")
        return predictor(X)

    def _current_predictor(self):
        """The predictor kept for the parameters, or a new one if they are not those it was made for."""
        predictor = vars(self).get("_predictor")
        if predictor is not None and predictor.serves(
            self.coefs_, self.intercepts_, self.activation, self.out_activation_
        ):
            return predictor
        return self._new_predictor(computing_dtype([getattr(coef, "dtype", np.float64) for coef in self.coefs_]))

    def _new_predictor(self, dtype):
        coefs, intercepts = check_parameters(self.coefs_, self.intercepts_, dtype)
        held = list(self.coefs_), list(self.intercepts_)
        shared = all(
            isinstance(theirs, np.ndarray) and np.may_share_memory(ours, theirs)
            for ours, theirs in zip(coefs + intercepts, held[0] + held[1], strict=True)
        )
        return Predictor(coefs, intercepts, self.activation, self.out_activation_, held=held if shared else None)

    def _keep_predictor(self):
        """Keep a predictor of the fitted parameters, so that predict need not make one and changes nothing."""
        vars(self).pop("_predictor", None)
        if hasattr(self, "coefs_") and hasattr(self, "out_activation_"):
            with suppress(AttributeError, TypeError, ValueError):  # of parameters somebody made: predict will tell
                self._predictor = self._current_predictor()
