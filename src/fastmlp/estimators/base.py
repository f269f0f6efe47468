"""What the classifier and the regressor share: one fit."""

import warnings
from abc import ABC, abstractmethod
from contextlib import nullcontext
from copy import copy
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_X_y, validate_data

from ..borrowed import fit_context
from ..data.sources import Source
from ..engine import LOSSES, OPTIMIZERS, single_threaded_blas
from ..training import lbfgs
from ..training.arrays import Data, check_finite, computing_dtype
from ..training.fits import Fit
from ..training.initialization import initialize
from ..training.optimizers import Optimizer
from ..training.streams import StreamedFit, SummedNetwork
from ..training.undo import unchanged_on_error
from .callbacks import CallbackSupportMixin, Listeners, with_callbacks
from .explanations import ExplanationMixin
from .exporting import ExportMixin
from .fitted import OF_EPOCHS, OF_MLP
from .inputs import check_total, check_weights, column_named, effective_n_jobs, engine_rows, hidden_units
from .networks import network_plan, network_to_train
from .parameters import CONSTRAINTS, ParametersMixin, constructor_defaults, parameters_in_effect, plain, with_effect
from .pickling import PickleMixin
from .prediction import PredictionMixin
from .representation import NetworkReprMixin
from .streaming import SourceMixin, check_source, is_larger_than_memory, loaded, take_features
from .validation import Validation, hold_out, strata

__all__ = ["BaseMLP", "Target", "is_stochastic"]


class Target(NamedTuple):
    """What a fit aims at, as the engine takes it."""

    y: np.ndarray
    n_outputs: int
    loss: str
    loss_options: dict[str, Any]


def is_stochastic(estimator):
    """Whether the solver trains by epochs; raises AttributeError if not (for `available_if`)."""
    if estimator.solver not in OPTIMIZERS:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


class BaseMLP(
    ParametersMixin,
    PickleMixin,
    PredictionMixin,
    SourceMixin,
    ExportMixin,
    ExplanationMixin,
    NetworkReprMixin,
    CallbackSupportMixin,
    BaseEstimator,
    ABC,
):
    """Parameters and fitting of both estimators."""

    _parameter_constraints: ClassVar[dict] = CONSTRAINTS
    _transient: ClassVar[tuple] = ("_network", "_predictors")
    _attributes: ClassVar[dict] = OF_MLP
    _fitted_by: ClassVar[str] = "coefs_"

    def __setstate__(self, state):
        super().__setstate__(state)
        optimizer = vars(self).get("_optimizer")
        if optimizer is not None:
            fresh = Optimizer(optimizer.name, constructor_defaults(type(self)))
            if missing := vars(fresh).keys() - vars(optimizer).keys():
                del self._optimizer
                warnings.warn(
                    f"The optimizer in this pickle of {type(self).__name__}, of another version of fastmlp, has no"
                    f" {', '.join(sorted(missing))}: it is left out, and partial_fit starts a new one.",
                    stacklevel=2,
                )
        self._keep_predictors()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # What differs between estimators

    _auto_batch_size: ClassVar[int] = 200

    _check_y: ClassVar[dict] = {}  # how validate_data looks at y
    _quantile_ranks = None  # the place of each output in its row, where `predict` sorts rows

    @abstractmethod
    def _checked_y(self, y, name):
        """y as given, or as `validate_data` keeps it; refused where that would let pass what no model can learn.

        `name` is what errors call it.
        """

    @abstractmethod
    def _encode(self, y, incremental):
        """The `Target` of validated y, its y as the engine takes it, or floats of any kind.

        Labels are learnt by a fit that starts anew, else checked against those known.
        """

    @abstractmethod
    def _is_beyond_scikit_learn(self):
        """Whether scikit-learn's MLP has no such loss, or not for such targets.

        Accuracy and R2 are then the wrong measure, and losses may be small by nature: the validation loss is the
        score unless `scoring` says otherwise, and `tol` is relative.
        """

    @abstractmethod
    def _quick_score(self):
        """The score of `score` for what scikit-learn's MLP has, as a class of training.scores."""

    def _single_classes(self):
        """The labels, where each row has one; None for other targets."""
        return None

    def _hidden_units(self):
        """Units of the hidden layers that have weights."""
        return hidden_units(self.hidden_layer_sizes)

    def _layers(self, n_features, n_outputs):
        """Inputs and layers of a network that is no perceptron, the same object while it is the same; else None."""
        return None

    def _class_weights(self, labels, counts=None):
        """The weights of classes in the loss, by the training labels: what `_loss_weights` needs; None for none.

        With counts, which are a list, labels are one too: vectors that have each label of an output once, ascending.
        """
        return None

    def _loss_weights(self, class_weights, labels, sample_weight):
        """Weights of rows in the loss."""
        return sample_weight

    # How a source is trained on

    def _streams(self, X):
        """Whether X is trained on part by part."""
        return is_larger_than_memory(X)

    def _streamed_fit(self, plan):
        """What makes a fit by epochs of rows that come part by part, for a network of a plan."""
        return StreamedFit

    def _summed_network(self, network, data, plan):
        """A network whose loss and gradient are those of all rows."""
        return SummedNetwork(network, data)

    # Fitting

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network to the training set.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or source
            Training data. C-contiguous float32 or float64 and CSR are used where they lie, anything else is
            converted once. float32 is trained in float32, except by solver="lbfgs" or as `dtype` says. A source, of
            `scan_parquet` or `scan_npy`, has y and sample_weight too and may be larger than memory.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Class labels, an indicator matrix or a column of labels for each output; for regression real numbers. None
            beside a source alone.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero. None weighs all samples by 1.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features) or source, default=None
            Validation data, looked at after every epoch and with `early_stopping` to stop. Not for "lbfgs". In a
            Pipeline, ``transform_input=["X_val"]`` transforms them as X. A source has their targets and weights too and
            must not have more rows than its window.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their targets.
        sample_weight_val : float or array-like of shape (n_val,), default=None
            Their weights, in the validation loss and score.

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
            If the solver stopped for another reason than convergence, such as a loss that is no longer finite. With
            `early_stopping` the best parameters before that are restored.
        UserWarning
            If the validation score is undefined or constant on the validation rows: their loss is used instead. If
            interrupted (Ctrl-C): the model after the last whole batch, or lbfgs iteration, is kept.
        """
        listeners = Listeners(self, X, y, sample_weight)
        if isinstance(X, Source):
            check_source(X, ("X", "y", "sample_weight"), (y, sample_weight))
        with unchanged_on_error(self):
            self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), listeners)
            listeners.fit_ends()
        return self

    def _partial_fit(self, X, y, sample_weight, validation_set):
        if isinstance(X, Source):
            raise TypeError(f"partial_fit takes no source, got X={X}: fit does, or give it arrays.")
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight, validation_set, Listeners(self), incremental=True)

    def _fit(self, X, y, sample_weight, validation_set, listeners, incremental=False):
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        hidden = self._hidden_units()
        has_validation_set = any(part is not None for part in validation_set)
        params = parameters_in_effect(self, len(hidden), incremental, has_validation_set)
        streams = self._streams(X)
        if streams:
            data, target, class_weights = self._stream(X, first)
        else:
            data, target = self._validated(X, y, sample_weight, first, incremental)
            class_weights = self._class_weights(data.labels)
            data = self._weighed(data, class_weights)
        validation_data = None
        if has_validation_set:
            validation_data = self._validated_for_validation(*validation_set, class_weights, data.y.shape[1:])
        if params["input_dropout"] > 0 and issparse(data.X):
            raise ValueError(f"input_dropout={params['input_dropout']!r} needs a dense X.")
        # taken away for the call, so that a partial_fit of another thread, or of a signal's handler, finds none of them
        kept = {key: vars(self).pop(key, None) if incremental else None for key in ("_network", "_optimizer")}
        before = {} if first else vars(self) | kept
        plan = self._network_plan((data.X.shape[1], *hidden, target.n_outputs), target, data, params, first)
        given = None if first else (self.coefs_, self.intercepts_)
        network = network_to_train(plan, self.solver, given, before.get("_network"))
        data = data.in_precision(network.dtype)
        if has_validation_set:
            validation_data = validation_data.in_precision(network.dtype, of="_val")
        random_state, fit = check_random_state(self.random_state), None
        if self.solver in OPTIMIZERS:
            kind = self._streamed_fit(plan) if streams else Fit
            fit = kind(network, params, random_state, data, validation_data, before=before, incremental=incremental)
            fit.auto_batch_size = self._auto_batch_size
            if params["checkpoint_path"] is not None:
                fit.keep(params["checkpoint_path"], params["checkpoint_every"], with_effect(params))
                random_state = fit.random_state
        if first and (fit is None or fit.resumed is None):
            initialize(network, self.weight_init, self._precision(data.X), random_state)
        self.n_outputs_, self.out_activation_ = target.n_outputs, LOSSES[target.loss]
        try:
            if not streams:
                network.bind(data.X, data.y, data.sample_weight)
            # SciPy's L-BFGS-B adds with its BLAS
            with single_threaded_blas() if network.uses_blas or fit is None else nullcontext():
                if fit is None:
                    summed = self._summed_network(network, data, plan) if streams else network
                    self._fit_lbfgs(summed, params, listeners, t=before.get("t_", 0))
                else:
                    self._fit_epochs(fit, listeners)
            if incremental:
                self._network = plan, network, fit.spare
        finally:
            if streams:
                data.close()
            if incremental or streams:  # the network stays for the next call, or in the attributes; the data need not
                network.release()
        self._random_state = random_state
        self._keep_predictors()
        return self

    def _network_plan(self, units, target, data, params, first):
        """The arguments of the Network to train."""
        dtype, layers = self._dtype(data.X, first), self._layers(units[0], units[-1])
        return network_plan(units, target, dtype, params, self._max_threads(), layers, self._augmentation())

    def _validated(self, X, y, sample_weight, first, incremental, of=""):
        """X, y and weights, or those of a source, as `Data`, and what to aim at."""
        check = {"accept_sparse": "csr", "order": "C", "multi_output": True, "dtype": self._dtypes_of(X)}
        if isinstance(X, Source):
            take_features(self, X, first)
            X, y, sample_weight = loaded(X, f"X{of}")
            X, y = check_X_y(X, self._checked_y(y, f"y{of}"), estimator=self, **check, **self._check_y)
        else:
            y = self._checked_y(y, f"y{of}")
            with column_named(X, type(self).__name__):
                X, y = validate_data(self, X, y, reset=first, **check, **self._check_y)
        X = engine_rows(X)
        target = self._encode(y, incremental)
        sample_weight = check_weights(sample_weight, X, self._precision(X))
        return Data(X, target.y, sample_weight, y, sample_weight), target

    def _augmentation(self):
        """How rows are changed in training, or None."""
        return None

    def _dtypes_of(self, X):
        """The dtypes that X may have, the first of them what others become."""
        return np.float64, np.float32

    def _precision(self, X):
        """The dtype of X, that of bytes being float32, or the one that is asked for."""
        return np.dtype(self.dtype or (np.float32 if X.dtype == np.uint8 else X.dtype))

    def _dtype(self, X, first):
        """The dtype to train X in."""
        if self.solver == "lbfgs":
            return np.dtype(np.float64)
        if first or self.dtype is not None:
            return self._precision(X)
        floats = [coef.dtype for coef in self.coefs_ if isinstance(coef, np.ndarray) and coef.dtype.kind == "f"]
        return computing_dtype(floats or [self._precision(X)])

    def _max_threads(self):
        return None if self.n_jobs is None else effective_n_jobs(self.n_jobs)

    def _weighed(self, data, class_weights):
        """Data with class weights in those of the loss."""
        weights = self._loss_weights(class_weights, data.labels, data.score_weight)
        if class_weights is not None:
            check_total(weights, self._precision(data.X), "sample_weight times class_weight")
        return data._replace(sample_weight=weights)

    def _validated_for_validation(self, X_val, y_val, sample_weight_val, class_weights, shape):
        """Validation data, whose rows of y have the shape of those to train on."""
        if isinstance(X_val, Source):
            check_source(X_val, ("X_val", "y_val", "sample_weight_val"), (y_val, sample_weight_val))
        elif X_val is None or y_val is None:
            raise ValueError(f"{'X_val' if X_val is None else 'y_val'} is missing: X_val and y_val go together.")
        try:
            data, _ = self._validated(X_val, y_val, sample_weight_val, first=False, incremental=True, of="_val")
            data = self._weighed(data, class_weights)
        except (ValueError, TypeError) as error:
            raise type(error)(f"X_val, y_val or sample_weight_val: {error}") from error
        if data.y.shape[1:] != shape:
            raise ValueError(f"y_val must have {shape[0]} columns, got {data.y.shape[1]}.")
        return data

    def _fit_lbfgs(self, network, params, listeners, t):
        def iteration_ends(n_iter, loss):
            def fitted():
                return {**self._parameters_of(network, copied=True), "n_iter_": n_iter, "loss_": loss}

            listeners.step_begins("iteration")
            return listeners.step_ends(n_iter, {"loss": loss}, fitted)

        n_iter, loss = lbfgs.train(
            network,
            **{name: params[name] for name in ("alpha", "max_iter", "max_fun", "tol", "verbose")},
            iteration_ends=iteration_ends if listeners else None,
        )
        check_finite(network.coefs + network.intercepts)
        self._take_over(network, {"n_iter_": n_iter, "loss_": loss, "t_": t})

    def _fit_epochs(self, fit, listeners):
        validation, own = self._validation(fit), self._is_beyond_scikit_learn()
        by_loss = not self.early_stopping or validation.scoring == "loss"
        fit.begin(validation, relative_tol=own and by_loss)

        def fitted():
            return {**self._parameters_of(fit.network, copied=True), **fit.attributes()}

        def epoch_ends():
            return listeners.step_ends(fit.progress.n_iter, fit.progress.metrics(), fitted)

        with fit.unchanged_on_error():
            told = (partial(listeners.step_begins, "epoch"), epoch_ends, listeners.part_ends) if listeners else ()
            fit.run(*told)
            attributes = fit.attributes(extend=fit.incremental)
            self._take_over(fit.network, {**attributes, "_optimizer": fit.optimizer})

    def _take_over(self, network, attributes):
        """Make what a fit came to the estimator's own."""
        for name in (*self._transient, *OF_EPOCHS):
            vars(self).pop(name, None)
        vars(self).update({**self._parameters_of(network), **attributes})

    def _validation(self, fit):
        """What is asked of the network after an epoch, or None; rows are held out where it takes some."""
        if not fit.validates:
            return None
        data, rows = fit.validation_data, None
        if fit.holds_out and isinstance(fit, StreamedFit):
            data = self._held_out_of(fit, fit.data.source)
            rows = np.arange(len(data.X), dtype=np.intp)
        elif fit.holds_out:
            fit.hold_out(
                lambda: hold_out(fit.n_rows, self.validation_fraction, self._stratify(fit.data.y), fit.random_state)
            )
            data, rows = fit.data, fit.held_out

        def fitted():
            estimator = copy(self)
            vars(estimator).update(self._parameters_of(fit.network, copied=True))
            vars(estimator).pop("feature_names_in_", None)  # scorers get arrays
            return estimator

        return Validation(
            fit.network,
            data,
            rows,
            scoring="loss" if self.scoring is None and self._is_beyond_scikit_learn() else plain(self.scoring),
            quick_score=self._quick_score(),
            fitted=fitted,
            classes=self._single_classes(),
            decides=self.early_stopping,
        )

    def _stratify(self, y):
        """Classes whose shares a split keeps; with scikit-learn's parameters alone only those of one binary output."""
        if not is_classifier(self):
            return None
        if self._is_beyond_scikit_learn() or self.scoring is not None:
            return strata(y, self.validation_fraction)
        if y.ndim != 2 or y.shape[1] != 1:
            return None
        stratify = y.astype(bool)
        # scikit-learn joins the columns of a row to one word, in Python; a vector splits alike, so only a class of one
        # sample, whose name is in the error, goes the slow way
        return stratify[:, 0] if 1 < y.sum() < len(y) - 1 else stratify

    def _parameters_of(self, network, copied=False):
        """Fitted attributes that are the model: views on the network, or copies."""
        coefs, intercepts = list(network.coefs), list(network.intercepts)
        if copied:
            coefs, intercepts = [a.copy() for a in coefs], [a.copy() for a in intercepts]
        return {"coefs_": coefs, "intercepts_": intercepts, "n_layers_": len(coefs) + 1}
