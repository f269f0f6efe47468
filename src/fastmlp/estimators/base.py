"""What the classifier and the regressor share: one fit."""

import functools
import math
import warnings
from abc import ABC, abstractmethod
from contextlib import nullcontext
from copy import copy
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, _fit_context, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from ..engine import (
    LOSSES,
    OPTIMIZERS,
    Network,
    single_threaded_blas,
)
from ..training import lbfgs, stochastic
from ..training.checkpoint import Checkpoint
from ..training.identity import data_description, fingerprint
from ..training.initialization import initialize
from ..training.optimizers import Optimizer
from ..training.stochastic import Progress, check_finite, is_finite
from .callbacks import CallbackSupportMixin, Listeners, with_callbacks
from .explanations import ExplanationMixin
from .exporting import ExportMixin
from .inputs import (
    check_layers,
    check_parameters,
    check_total,
    check_weights,
    computing_dtype,
    effective_n_jobs,
    engine_rows,
    fits_precision,
    hidden_units,
    plain_array,
    restored_on_error,
    unchanged_on_error,
)
from .parameters import (
    CONSTRAINTS,
    WITHOUT_EFFECT,
    ParametersMixin,
    constructor_defaults,
    parameters_in_effect,
    plain,
)
from .pickling import PickleMixin
from .prediction import PredictionMixin
from .representation import NetworkReprMixin
from .validation import Data, Validation, hold_out, strata

__all__ = ["BaseMLP", "Target", "is_stochastic"]

# Attributes that exist only while they belong to this estimator in this process
_TRANSIENT = ("_network", "_spare", "_predictors")
# Attributes of the stochastic solvers only
_OF_EPOCHS = (
    "loss_curve_",
    "learning_rate_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "validation_loss_curve_",
    "_best_coefs",
    "_best_intercepts",
    "_no_improvement_count",
    "_optimizer",
    "_scored",
    "_trained_on",
)


# Bytes of each array that a warm start looks at to see whether the data are those of before
_LOOKED_AT = 1 << 22
# What a checkpoint tells data apart by
_NAMES = {"X": "X", "labels": "y", "score_weight": "sample_weight"}


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


def _in_precision(data, dtype, of=""):
    """Data whose numbers are within the precision that trains them, real targets converted to it.

    Raises
    ------
    ValueError
        If a number is beyond it.
    """
    X, y = data.X, data.y
    if X.dtype.itemsize > dtype.itemsize and not fits_precision(X, dtype):
        raise ValueError(f"X{of} has values beyond {dtype}, in which it is trained.")
    if y.dtype.kind != "f":
        return data
    with np.errstate(over="ignore"):
        y = plain_array(y, dtype)
    if not is_finite(y):
        raise ValueError(f"y{of} has values beyond {dtype}, in which X{of} of dtype {X.dtype} is trained.")
    return data._replace(y=y)


class BaseMLP(
    ParametersMixin,
    PickleMixin,
    PredictionMixin,
    ExportMixin,
    ExplanationMixin,
    NetworkReprMixin,
    CallbackSupportMixin,
    BaseEstimator,
    ABC,
):
    """Parameters and fitting of both estimators."""

    _parameter_constraints: ClassVar[dict] = CONSTRAINTS
    _transient: ClassVar[tuple] = _TRANSIENT
    _needed: ClassVar[dict] = {"coefs_": ("intercepts_", "n_features_in_", "n_outputs_", "out_activation_")}

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

    # What differs between the two

    _check_y: ClassVar[dict] = {}  # how validate_data looks at y
    _scored = (None, False)  # what validation_scores_ are: the scoring, and whether of a set that was given
    _of_epochs: ClassVar[tuple] = _OF_EPOCHS
    _segments = None  # sizes of the blocks of outputs that each have a softmax
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

    def _class_weights(self, labels):
        """The weights of classes in the loss, by the training labels: what `_loss_weights` needs; None for none."""
        return None

    def _loss_weights(self, class_weights, labels, sample_weight):
        """Weights of rows in the loss."""
        return sample_weight

    # Fitting

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network to the training set.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. C-contiguous float32 or float64 and CSR are used where they lie, anything else is
            converted once. float32 is trained in float32, except by solver="lbfgs" or as `dtype` says.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, an indicator matrix or a column of labels for each output; for regression real numbers.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero. None weighs all samples by 1.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data, looked at after every epoch and with `early_stopping` to stop. Not for "lbfgs". In a
            Pipeline, ``transform_input=["X_val"]`` transforms them as X.
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
        with unchanged_on_error(self):
            self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), listeners)
            listeners.fit_ends()
        return self

    def _partial_fit(self, X, y, sample_weight, validation_set):
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight, validation_set, Listeners(self), incremental=True)

    def _fit(self, X, y, sample_weight, validation_set, listeners, incremental=False):
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        hidden = hidden_units(self.hidden_layer_sizes)
        has_validation_set = any(part is not None for part in validation_set)
        params = parameters_in_effect(self, len(hidden), incremental, has_validation_set)
        data, target = self._validated(X, y, sample_weight, first, incremental)
        class_weights = self._class_weights(data.labels)
        data = self._weighed(data, class_weights)
        validation_data = None
        if has_validation_set:
            validation_data = self._validated_for_validation(*validation_set, class_weights)
            if validation_data.y.shape[1:] != data.y.shape[1:]:
                raise ValueError(f"y_val must have {data.y.shape[1]} columns, got {validation_data.y.shape[1]}.")
        if params["input_dropout"] > 0 and issparse(data.X):
            raise ValueError(f"input_dropout={params['input_dropout']!r} needs a dense X.")
        units = (data.X.shape[1], *hidden, target.n_outputs)
        # taken away for the call, so that a partial_fit of another thread, or of a signal's handler, finds none of them
        kept = {key: vars(self).pop(key, None) for key in ("_network", "_spare", "_optimizer")} if incremental else {}
        precision = self._precision(data.X)
        if first:
            plan, network = self._fresh_network(units, target, precision, params)
        else:
            plan, network = self._resumed_network(units, target, precision, params, kept.get("_network"))
        data = _in_precision(data, network.dtype)
        if has_validation_set:
            validation_data = _in_precision(validation_data, network.dtype, of="_val")
        checkpoint, state = self._checkpoint(data, validation_data, network, params)
        random_state = check_random_state(self.random_state)
        if state is not None and self.random_state is None:
            random_state = np.random.RandomState()  # NumPy's own is left as it is
        if first and state is None:
            initialize(network, self.weight_init, precision, random_state)
        self.n_outputs_, self.out_activation_ = target.n_outputs, LOSSES[target.loss]
        try:
            network.bind(data.X, data.y, data.sample_weight)
            # SciPy's L-BFGS-B adds with its BLAS
            with single_threaded_blas() if network.uses_blas or self.solver == "lbfgs" else nullcontext():
                if self.solver == "lbfgs":
                    self._fit_lbfgs(network, first, listeners, params)
                else:
                    spare = self._fit_epochs(
                        network, data, validation_data, random_state, first, kept, listeners, checkpoint, state, params
                    )
                    if incremental:
                        self._network, self._spare = (plan, network), spare
        finally:
            if incremental:  # the network stays for the next call, the data need not
                network.release()
        self._random_state = random_state
        self._keep_predictors()
        return self

    def _validated(self, X, y, sample_weight, first, incremental, of=""):
        """X, y and weights as `Data`, and what to aim at."""
        X, y = validate_data(
            self,
            X,
            self._checked_y(y, f"y{of}"),
            accept_sparse="csr",
            order="C",
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=first,
            **self._check_y,
        )
        X = engine_rows(X)
        target = self._encode(y, incremental)
        sample_weight = check_weights(sample_weight, X, self._precision(X))
        return Data(X, target.y, sample_weight, y, sample_weight), target

    def _precision(self, X):
        """The dtype that X is trained in, but for lbfgs."""
        return np.dtype(self.dtype or X.dtype)

    def _weighed(self, data, class_weights):
        """Data with class weights in those of the loss."""
        weights = self._loss_weights(class_weights, data.labels, data.score_weight)
        if class_weights is not None:
            check_total(weights, self._precision(data.X), "sample_weight times class_weight")
        return data._replace(sample_weight=weights)

    def _validated_for_validation(self, X_val, y_val, sample_weight_val, class_weights):
        if X_val is None or y_val is None:
            raise ValueError(f"{'X_val' if X_val is None else 'y_val'} is missing: X_val and y_val go together.")
        try:
            data, _ = self._validated(X_val, y_val, sample_weight_val, first=False, incremental=True, of="_val")
            return self._weighed(data, class_weights)
        except (ValueError, TypeError) as error:
            raise type(error)(f"X_val, y_val or sample_weight_val: {error}") from error

    def _plan(self, units, target, dtype, params):
        """The arguments of a Network."""
        activation, dropout = params["activation"], params["dropout"]
        dropout = dropout if isinstance(dropout, list | tuple) else [dropout] * (len(units) - 2)
        dropout = (float(params["input_dropout"]), *map(float, dropout))
        return {
            "layer_units": units,
            "activation": activation if isinstance(activation, str) else tuple(activation),
            "loss": target.loss,
            "dtype": dtype,
            "loss_options": target.loss_options,
            "dropout": dropout if any(dropout) else None,
            "max_threads": self._max_threads(),
        }

    def _max_threads(self):
        return None if self.n_jobs is None else effective_n_jobs(self.n_jobs)

    def _fresh_network(self, units, target, precision, params):
        dtype = np.dtype(np.float64) if self.solver == "lbfgs" else precision
        check_layers(units, self.solver, dtype.itemsize)
        plan = self._plan(units, target, dtype, params)
        return plan, Network(**plan)

    def _resumed_network(self, units, target, precision, params, kept):
        """A network with the parameters as the user left them: that of the call before, if it fits."""
        floats = [coef.dtype for coef in self.coefs_ if isinstance(coef, np.ndarray) and coef.dtype.kind == "f"]
        dtype = computing_dtype(floats or [precision]) if self.dtype is None else precision
        if self.solver == "lbfgs":
            dtype = np.dtype(np.float64)
        coefs, intercepts = check_parameters(self.coefs_, self.intercepts_, dtype)
        shapes = [coef.shape for coef in coefs]
        if shapes != list(pairwise(units)):
            raise ValueError(
                f"hidden_layer_sizes={units[1:-1]} with {units[0]} features and {units[-1]} outputs does not go on"
                f" from coefs_ of shapes {shapes}: set coefs_ to match, or fit anew with warm_start=False."
            )
        plan = self._plan(units, target, dtype, params)
        if kept is not None and kept[0] == plan:
            network = kept[1]
        else:
            check_layers(units, self.solver, dtype.itemsize)
            network = Network(**plan)
        own, given = network.coefs + network.intercepts, coefs + intercepts
        if any(a is not b for a, b in zip(own, given, strict=True)):
            # copied first: what the user assigned may be this network's own arrays in another order
            for array, values in zip(own, [values.copy() for values in given], strict=True):
                array[...] = values
        return plan, network

    def _checkpoint(self, data, validation_data, network, params):
        """The checkpoint to write to with what tells its fit from others, and the state to go on from, or None."""
        if params["checkpoint_path"] is None:
            return None, None
        sets = {"": data} if validation_data is None else {"": data, "_val": validation_data}
        identity = fingerprint(
            {key: value for key, value in sorted(params.items()) if key not in WITHOUT_EFFECT},
            {name + of: getattr(part, field) for of, part in sets.items() for field, name in _NAMES.items()},
        )
        seed = self.random_state
        if isinstance(seed, np.random.RandomState) and seed.get_state(legacy=False)["bit_generator"] != "MT19937":
            raise ValueError(f"checkpoint_path needs a RandomState of MT19937, got random_state={seed!r}.")
        checkpoint = Checkpoint(params["checkpoint_path"], params["checkpoint_every"])
        check = functools.partial(
            stochastic.check_state,
            network=network,
            optimizer=Optimizer(params["solver"], params),
            n_rows=data.X.shape[0],
            max_iter=params["max_iter"],
            shuffle=self.shuffle,
            holds_out=self.early_stopping and validation_data is None,
            validates=self.early_stopping or validation_data is not None,
            early_stopping=self.early_stopping,
        )
        return (checkpoint, identity), checkpoint.read(identity, check)

    def _validation(self, network, data, validation_data, random_state, held_out, fitted):
        """Rows to train on, those held out, and what is asked of the network after an epoch; None for none."""
        rows = None
        given = validation_data is not None
        if not given and self.early_stopping:
            if held_out is None:
                rows, held_out = hold_out(
                    data.X.shape[0], self.validation_fraction, self._stratify(data.y), random_state
                )
            for part in (data.sample_weight, data.score_weight):
                if part is not None and not part[held_out].any():
                    raise ValueError("sample_weight or class_weight is zero on all rows of the validation set.")
            validation_data = data
        if validation_data is None:
            return rows, None, None
        scoring = "loss" if self.scoring is None and self._is_beyond_scikit_learn() else plain(self.scoring)
        return rows, held_out, Validation(
            network,
            validation_data,
            held_out,
            scoring=scoring,
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

    def _fit_lbfgs(self, network, first, listeners, params):
        def iteration_ends(n_iter, loss):
            listeners.step_begins("iteration")
            return listeners.step_ends(
                n_iter,
                {"loss": loss},
                lambda: {**self._parameters_of(network, copied=True), "n_iter_": n_iter, "loss_": loss},
            )

        n_iter, loss = lbfgs.train(
            network,
            alpha=params["alpha"],
            max_iter=params["max_iter"],
            max_fun=params["max_fun"],
            tol=params["tol"],
            verbose=self.verbose,
            iteration_ends=iteration_ends if listeners else None,
        )
        check_finite(network.coefs + network.intercepts)
        for key in (*_TRANSIENT, *_OF_EPOCHS):
            vars(self).pop(key, None)
        vars(self).update(self._parameters_of(network))
        self.n_iter_, self.loss_, self.t_ = n_iter, loss, 0 if first else getattr(self, "t_", 0)

    def _fit_epochs(
        self, network, data, validation_data, random_state, first, kept, listeners, checkpoint, state, params
    ):
        incremental = bool(kept)
        reused = incremental and kept["_network"] is not None and network is kept["_network"][1]
        optimizer = self._continued_optimizer(kept.get("_optimizer"), network, reused)
        if optimizer is None:
            optimizer = Optimizer(params["solver"], params).on(network)

        def fitted():
            estimator = copy(self)
            vars(estimator).update(self._parameters_of(network, copied=True))
            vars(estimator).pop("feature_names_in_", None)  # scorers get arrays
            return estimator

        held_out = None if state is None else state["held_out"]
        rows, held_out, validate = self._validation(network, data, validation_data, random_state, held_out, fitted)
        scored = (self.scoring if validate is None else validate.scoring, validation_data is not None)
        trained_on = None if incremental else self._description(data, validation_data)
        progress = Progress() if first else self._progress(network, scored, trained_on)
        first_scores = first or scored != self._scored
        n_rows = data.X.shape[0] - (0 if held_out is None else len(held_out))
        if rows is None and self.shuffle:
            rows = np.arange(n_rows, dtype=np.intp)
        if network.dropout:
            optimizer.dropout_seed = int(random_state.randint(2**63, dtype=np.int64))
        batch_size = min(200, n_rows) if params["batch_size"] == "auto" else params["batch_size"]
        if batch_size > n_rows:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
            batch_size = n_rows
        if state is not None:
            rows = stochastic.restore(state, network, optimizer, progress, random_state)

        def epoch_ends():
            if listeners and listeners.step_ends(
                progress.n_iter,
                progress.metrics(),
                lambda: {
                    **self._parameters_of(network, copied=True),
                    **self._progress_of(progress, first, first_scores, incremental, extend=False),
                },
            ):
                progress.stopped = True
            if checkpoint is not None:
                file, identity = checkpoint
                if file.due(progress.n_iter) or progress.stopped or progress.n_iter == params["max_iter"]:
                    state = stochastic.state_of(network, optimizer, progress, rows, held_out, random_state)
                    file.write({"identity": identity, **state})

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
                alpha=float(params["alpha"]),
                shuffle=self.shuffle,
                random_state=random_state,
                max_iter=params["max_iter"],
                tol=params["tol"],
                n_iter_no_change=params["n_iter_no_change"],
                verbose=self.verbose,
                validate=validate,
                early_stopping=self.early_stopping,
                relative_tol=self._is_beyond_scikit_learn() and (not self.early_stopping or scored[0] == "loss"),
                epoch_begins=(lambda: listeners.step_begins("epoch")) if listeners else None,
                epoch_ends=epoch_ends if listeners or checkpoint else None,
                single_epoch=incremental,
            )
            check_finite(network.coefs + network.intercepts)
            attributes = self._progress_of(progress, first, first_scores, incremental, extend=True)
            for key in ("_best_coefs", "_best_intercepts", *(() if incremental else ("validation_loss_curve_",))):
                vars(self).pop(key, None)
            vars(self).update(self._parameters_of(network))
            vars(self).update(attributes)
            self._optimizer = optimizer
            if progress.scores:
                self._scored = scored
            if not incremental:
                self._trained_on = trained_on
                for key in _TRANSIENT:
                    vars(self).pop(key, None)
        return spare

    def _continued_optimizer(self, optimizer, network, reused):
        """The given optimizer, of the call before, on this network, or None if it does not fit."""
        if optimizer is None or optimizer.name != self.solver or not optimizer.fits(network):
            return None
        return optimizer if reused and hasattr(optimizer, "state") else optimizer.on(network)

    def _parameters_of(self, network, copied=False):
        """Fitted attributes that are the model: views on the network, or copies."""
        coefs, intercepts = list(network.coefs), list(network.intercepts)
        if copied:
            coefs, intercepts = [a.copy() for a in coefs], [a.copy() for a in intercepts]
        return {"coefs_": coefs, "intercepts_": intercepts, "n_layers_": len(coefs) + 1}

    def _description(self, data, validation_data):
        """What tells the data that the best loss or score is of from others."""
        judged = [data, validation_data] if self.early_stopping and validation_data is not None else [data]
        arrays = [array for part in judged for array in (part.X, part.y, part.score_weight)]
        return "; ".join(data_description(array, most=_LOOKED_AT) for array in arrays)

    def _progress(self, network, scored, trained_on):
        """Where an earlier fit left off, as far as its attributes serve this one."""
        progress = Progress(t=getattr(self, "t_", 0))
        if trained_on is not None and getattr(self, "_trained_on", trained_on) != trained_on:
            return progress
        best = getattr(self, "best_validation_score_" if self.early_stopping else "best_loss_", None)
        if best is None or (self.early_stopping and scored != self._scored):
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

    def _progress_of(self, progress, first, first_scores, incremental, extend):
        """Fitted attributes that tell of the training; curves go on from those of before, in place if `extend`."""

        def continued(name, values, anew=first):
            before = None if anew else getattr(self, name, None)
            if not isinstance(before, list):
                before = []
            if not extend:
                return before + values
            before.extend(values)
            return before

        best = progress.best
        losses = continued("loss_curve_", progress.losses)
        rates = continued("learning_rate_curve_", progress.rates)
        told = len(rates) - len(progress.rates)
        rates[told:told] = [math.nan] * (len(losses) - len(rates))  # epochs of scikit-learn's, which tell none
        attributes = {
            "n_iter_": progress.n_iter,
            "t_": progress.t,
            "loss_": progress.loss,
            "loss_curve_": losses,
            "learning_rate_curve_": rates,
            "_no_improvement_count": progress.no_improvement_count,
            "best_loss_": None,
            "validation_scores_": None,
            "best_validation_score_": None,
        }
        stops_early = progress.best_params is not None
        if progress.validation_losses:
            attributes["validation_loss_curve_"] = continued(
                "validation_loss_curve_", progress.validation_losses, first_scores
            )
        if stops_early or progress.scores:
            attributes["validation_scores_"] = continued("validation_scores_", progress.scores, first_scores)
        elif incremental:  # a call without validation adds nothing
            for name in ("validation_scores_", "best_validation_score_"):
                attributes[name] = getattr(self, name, None)
        if stops_early:
            attributes["best_validation_score_"] = -math.inf if best is None else best
            n_coefs = len(progress.best_params) // 2
            attributes["_best_coefs"] = progress.best_params[:n_coefs]
            attributes["_best_intercepts"] = progress.best_params[n_coefs:]
        else:
            attributes["best_loss_"] = math.inf if best is None else best
            if progress.scores:
                scores = [score for score in attributes["validation_scores_"] if not math.isnan(score)]
                attributes["best_validation_score_"] = max(scores, default=math.nan)
        return attributes
