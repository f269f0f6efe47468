"""The constructors' parameters: what each may be, which go together, and their documentation."""

import functools
import inspect
import os
import textwrap
from datetime import timedelta
from numbers import Integral, Real

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..engine import ACTIVATIONS, OPTIMIZERS
from ..training.initialization import INITIALIZERS
from ..training.schedules import SCHEDULES, schedule_for

__all__ = [
    "CONSTRAINTS",
    "DOCUMENTATION",
    "WITHOUT_EFFECT",
    "check_combinations",
    "constructor_defaults",
    "keep_parameters",
]

_FRACTION = Interval(Real, 0, 1, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")

CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", _COUNT],
    "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
    "solver": [StrOptions({"lbfgs", *OPTIMIZERS})],
    "alpha": [_NOT_NEGATIVE],
    "batch_size": [StrOptions({"auto"}), _COUNT],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [_POSITIVE],
    "power_t": [_NOT_NEGATIVE],
    "max_iter": [_COUNT],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_NOT_NEGATIVE],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [_FRACTION],
    "beta_1": [_FRACTION],
    "beta_2": [_FRACTION],
    "epsilon": [_POSITIVE],
    "n_iter_no_change": [_COUNT, Options(Real, {np.inf})],
    "max_fun": [_COUNT],
    "weight_init": [StrOptions(set(INITIALIZERS))],
    "dropout": [_FRACTION, list, tuple],
    "input_dropout": [_FRACTION],
    "weight_decay": [_NOT_NEGATIVE, None],
    "max_norm": [_POSITIVE, None],
    "clip_norm": [_POSITIVE, None],
    "clip_value": [_POSITIVE, None],
    "lr_schedule": [StrOptions(set(SCHEDULES)), callable, None],
    "lr_schedule_params": [dict, None],
    "warmup": [Interval(Integral, 0, None, closed="left"), _FRACTION],
    "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
    "callbacks": [callable, list, tuple, None],
    "dtype": [StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64}), None],
    "n_jobs": [Integral, None],
    "checkpoint_path": [str, os.PathLike, None],
    "checkpoint_every": [_COUNT, timedelta],
}

# A parameter that was changed from its default has an effect only where another has one of these values.
_NEEDS = {
    "label_smoothing": ("loss", ("log_loss",)),
    "focal_gamma": ("loss", ("focal",)),
    "quantile": ("loss", ("quantile",)),
    "huber_delta": ("loss", ("huber",)),
    "tweedie_power": ("loss", ("tweedie",)),
    **dict.fromkeys(
        (
            "dropout",
            "input_dropout",
            "weight_decay",
            "max_norm",
            "clip_norm",
            "clip_value",
            "lr_schedule",
            "warmup",
            "checkpoint_path",
        ),
        ("solver", tuple(OPTIMIZERS)),
    ),
}

# Parameters that no result depends on
WITHOUT_EFFECT = ("verbose", "n_jobs", "callbacks", "checkpoint_path", "checkpoint_every")


def keep_parameters(estimator, given):
    """Store what the constructor was given, as scikit-learn's `clone` wants it: every parameter, as it is.

    Parameters
    ----------
    estimator : object
    given : dict
        ``locals()`` of its ``__init__``.
    """
    vars(estimator).update((name, value) for name, value in given.items() if name != "self")


@functools.cache
def constructor_defaults(kind):
    """Defaults of a class's constructor, by parameter."""
    return {name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()}


def _refuse(estimator, name, why):
    raise ValueError(f"{name}={getattr(estimator, name)!r} {why}")


def check_combinations(estimator, n_hidden, incremental, has_validation_set):
    """Refuse parameters that are fine alone and mean nothing together.

    Parameters
    ----------
    estimator : BaseMLP
    n_hidden : int
        Number of hidden layers.
    incremental : bool
        Whether this is `partial_fit`.
    has_validation_set : bool
        Whether `X_val` was given.

    Raises
    ------
    ValueError
        That names the parameters and their values.
    """
    params = vars(estimator)
    defaults = constructor_defaults(type(estimator))

    def changed(name):
        return name in defaults and params[name] is not defaults[name] and params[name] != defaults[name]

    for name, (other, values) in _NEEDS.items():
        if changed(name) and params[other] not in values:
            allowed = " or ".join(map(repr, values))
            _refuse(estimator, name, f"needs {other}={allowed}, got {other}={params[other]!r}.")
    stochastic = estimator.solver in OPTIMIZERS
    for name in ("activation", "dropout"):
        if isinstance(params[name], (list, tuple)) and len(params[name]) != n_hidden:
            _refuse(estimator, name, f"must have one entry for each hidden layer, of which there are {n_hidden}.")
    if isinstance(estimator.activation, (list, tuple)):
        for name in estimator.activation:
            if not isinstance(name, str) or name not in ACTIVATIONS:
                _refuse(estimator, "activation", f"has {name!r}, which is none of {', '.join(sorted(ACTIVATIONS))}.")
    if isinstance(estimator.dropout, (list, tuple)):
        for rate in estimator.dropout:
            if not isinstance(rate, Real) or not 0 <= rate < 1:
                _refuse(estimator, "dropout", f"has {rate!r}, which is not in [0, 1).")
    if changed("lr_schedule_params") and not isinstance(estimator.lr_schedule, str):
        _refuse(estimator, "lr_schedule_params", f"needs a name as lr_schedule, got {estimator.lr_schedule!r}.")
    if stochastic:
        schedule_for(
            estimator.lr_schedule,
            estimator.lr_schedule_params,
            estimator.warmup,
            learning_rate_init=estimator.learning_rate_init,
        )
    if changed("lr_schedule") and changed("learning_rate"):
        _refuse(estimator, "lr_schedule", f"replaces learning_rate, got learning_rate={estimator.learning_rate!r}.")
    if estimator.clip_norm is not None and estimator.clip_value is not None:
        _refuse(estimator, "clip_norm", f"and clip_value={estimator.clip_value!r} exclude each other.")
    if estimator.solver == "schedule_free_adamw" and estimator.beta_1 == 0:
        _refuse(estimator, "beta_1", "must be > 0 with solver='schedule_free_adamw'.")
    if estimator.solver == "schedule_free_adamw" and estimator.max_norm is not None:
        _refuse(estimator, "max_norm", "does not go with solver='schedule_free_adamw', whose weights are averages.")
    if estimator.solver == "lbfgs" and estimator.dtype is not None and np.dtype(estimator.dtype) == np.float32:
        _refuse(estimator, "dtype", "does not go with solver='lbfgs', which computes in float64.")
    if changed("scoring") and not has_validation_set and not (estimator.early_stopping and stochastic):
        _refuse(estimator, "scoring", "needs early_stopping=True or a validation set, X_val and y_val.")
    if has_validation_set and not stochastic:
        _refuse(estimator, "solver", "does not use a validation set: leave X_val and y_val out.")
    if changed("checkpoint_every") and estimator.checkpoint_path is None:
        _refuse(estimator, "checkpoint_every", "needs a checkpoint_path.")
    if isinstance(estimator.checkpoint_every, timedelta) and estimator.checkpoint_every <= timedelta(0):
        _refuse(estimator, "checkpoint_every", "must be a time > 0.")
    if estimator.checkpoint_path is not None:
        if incremental:
            _refuse(estimator, "checkpoint_path", "is for fit; after partial_fit, store the estimator itself.")
        if estimator.warm_start:
            _refuse(estimator, "checkpoint_path", "does not go with warm_start=True: a checkpoint starts from nothing.")
    if isinstance(estimator.callbacks, (list, tuple)) and not all(map(callable, estimator.callbacks)):
        _refuse(estimator, "callbacks", "must be functions of (estimator, epoch, metrics).")
    if estimator.early_stopping and stochastic:
        if incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if estimator.validation_fraction == 0 and not has_validation_set:
            raise ValueError("validation_fraction must be in (0, 1) with early_stopping=True, got 0.")


def _listed(names):
    """Names of a table as a paragraph of a docstring."""
    text = ", ".join(f'"{name}"' for name in names)
    return textwrap.fill(f"{text}.", 112, initial_indent=8 * " ", subsequent_indent=8 * " ")


# numpydoc of the parameters and attributes that both estimators have
DOCUMENTATION = {
    "network": """\
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Units of each hidden layer. ``()`` is a linear model.
    activation : str or list of str, default="relu"
        Activation of the hidden layers, or one for each of them, of
"""
    + _listed(ACTIVATIONS),
    "training": """\
    solver : str, default="adam"
        "sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "lion" and "schedule_free_adamw" train by mini-batches,
        "lbfgs" on all the data at once and in float64.
    alpha : float, default=0.0001
        Strength of the L2 penalty on `coefs_`; intercepts are free.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; "auto" is ``min(200, n_samples)``. Not used by "lbfgs".
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of solver "sgd". "invscaling" is ``learning_rate_init / (t_ + 1)**power_t``, `t_` counting the
        samples seen; "adaptive" divides the rate by 5 instead of stopping, until it is 1e-6 or less. See
        `lr_schedule` for the other solvers and for more.
    learning_rate_init : float, default=0.001
        Initial rate of the mini-batch solvers; the highest of lr_schedule="one_cycle".
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Most epochs, or iterations of "lbfgs".
    shuffle : bool, default=True
        Draw a new order of the rows for every epoch.
    random_state : int, RandomState instance or None, default=None
        Source of initial weights, of the validation split, of the order of rows and of dropout. An int starts anew at
        every call of `fit` and `partial_fit`.
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
        Score rows that are not trained on after every epoch, those of `X_val` or else some set aside, stop when the
        score no longer improves, and keep the parameters of the best. Not used by "lbfgs".
    validation_fraction : float, default=0.1
        Share of the rows set aside by `early_stopping` if `fit` gets no `X_val`.
    beta_1 : float, default=0.9
        Decay of the first moment of adam's relatives and "lion", in [0, 1).
    beta_2 : float, default=0.999
        Decay of the second moment of adam's relatives and "rmsprop" (where PyTorch's is 0.99), and of the momentum of
        "lion" (whose authors use 0.99), in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator of adam's relatives, "rmsprop" and "adagrad"; for "adam" outside of the bias
        correction.
    n_iter_no_change : int or inf, default=10
        Epochs without progress to put up with.
    max_fun : int, default=15000
        Most evaluations of loss and gradient by "lbfgs".""",
    "more": """\
    weight_init : str, default="auto"
        Distribution of the initial weights. "auto" is scikit-learn's: uniform in +-sqrt(6 / (fan_in + fan_out)),
        for logistic units sqrt(2 / ...), intercepts likewise. "glorot_uniform", "glorot_normal", "he_uniform",
        "he_normal", "lecun_uniform", "lecun_normal" and "orthogonal" leave the intercepts 0.
    dropout : float or list of float, default=0.0
        Share of the units of the hidden layers, or of each of them, that an update leaves out; in [0, 1).
    input_dropout : float, default=0.0
        Likewise of the features; X must be dense.
    weight_decay : float or None, default=None
        Decoupled weight decay: every update multiplies `coefs_` by ``1 - rate * weight_decay``. None is 0.01 for
        "adamw", 0 for the others.
    max_norm : float or None, default=None
        Longest norm of the incoming weights of a unit; longer ones are scaled back after each update.
    clip_norm, clip_value : float or None, default=None
        Largest norm of the whole gradient, or largest absolute value of its elements. One of the two.
    lr_schedule : str, callable or None, default=None
        Learning rate in the course of the training, for every solver but "lbfgs": "constant", "invscaling", "adaptive",
        "plateau", "step", "exponential", "cosine", "one_cycle", or a function of the number of the update, from 0, that
        returns the rate. None leaves it to `learning_rate`, which "sgd" alone obeys.
    lr_schedule_params : dict or None, default=None
        Options of `lr_schedule`, see docs/options.md.
    warmup : int or float, default=0
        Updates, or share of all of them, in which the rate rises to that of the schedule, in a line from 0.
    scoring : str, callable or None, default=None
        Validation score: a scorer of scikit-learn's, "loss" for the negative validation loss, or None for `score`.
    callbacks : callable, list of callable or None, default=None
        Functions of (estimator, epoch, metrics), called after every epoch or "lbfgs" iteration: a fitted copy of the
        estimator, the number of the epoch from 1, and a dict of "loss", "learning_rate" (not for "lbfgs") and, with
        validation, "validation_score" and "validation_loss". One that returns True ends the training there.
    dtype : {"float32", "float64"} or None, default=None
        Precision of training, parameters and predictions; rows are cast as they are read. None is that of X.
    n_jobs : int or None, default=None
        Most threads for training and prediction; -1 is all cores. None is what the environment allows. The results
        are the same bit for bit.
    checkpoint_path : str, path or None, default=None
        File to which `fit` writes its state as it goes on. The same call finds it there, if it was killed, and goes
        on to the same model bit for bit; after other parameters or data it is refused. It stays when `fit` is done.
    checkpoint_every : int or datetime.timedelta, default=1
        Epochs, or time, from one checkpoint to the next.""",
    "attributes": """\
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
    learning_rate_curve_ : list of float
        Learning rate of the last update of each epoch, as scheduled, without the bias correction of "adam"; NaN for
        epochs of a model taken over from scikit-learn. Not for "lbfgs".
    n_iter_ : int
        Epochs or iterations of the last call.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Units of the output layer.
    t_ : int
        Training samples seen, epochs times rows.
    n_features_in_ : int
        Features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had any that were all strings.
    validation_scores_ : list of float or None
        Score of the validation rows after each epoch, with `early_stopping` or `X_val`. Not for "lbfgs".
    best_validation_score_ : float or None
        Highest of them. Not for "lbfgs".
    validation_loss_curve_ : list of float
        Loss of the validation rows after each epoch, without the penalty; with `X_val` or scoring="loss" only.""",
}
