"""The constructors' parameters: what each may be, which go together, and their documentation."""

import difflib
import functools
import inspect
import os
import textwrap
import warnings
from contextlib import suppress
from datetime import timedelta
from numbers import Integral, Real

import numpy as np
from sklearn.metrics import get_scorer_names

from ..borrowed import Interval, InvalidParameterError, Options, StrOptions, validate_parameter_constraints
from ..engine import ACTIVATIONS, OPTIMIZERS
from ..training.initialization import INITIALIZERS
from ..training.schedules import SCHEDULES, schedule_for

__all__ = [
    "CONSTRAINTS",
    "DOCUMENTATION",
    "OF_LOSSES",
    "ParametersMixin",
    "closest",
    "constructor",
    "constructor_defaults",
    "did_you_mean",
    "keep_parameters",
    "parameters_in_effect",
    "plain",
    "reasons_of_needs",
    "reset_without_effect",
    "with_effect",
]

_FRACTION = Interval(Real, 0, 1, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")

CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", _COUNT],
    "activation": [StrOptions(set(ACTIVATIONS)), list, tuple, np.ndarray],
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
    "dropout": [_FRACTION, list, tuple, np.ndarray],
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
    "dtype": [
        StrOptions({"float32", "float64"}),
        Options(type, {np.float32, np.float64}),
        Options(np.dtype, {np.dtype(np.float32), np.dtype(np.float64)}),
        None,
    ],
    "n_jobs": [Integral, None],
    "checkpoint_path": [str, os.PathLike, None],
    "checkpoint_every": [_COUNT, timedelta],
}

_BY_BATCHES = tuple(OPTIMIZERS)

# A parameter has an effect only where another has one of these values.
_NEEDS = {
    "label_smoothing": ("loss", ("log_loss",)),
    "focal_gamma": ("loss", ("focal",)),
    "quantile": ("loss", ("quantile",)),
    "sort_quantiles": ("loss", ("quantile",)),
    "huber_delta": ("loss", ("huber",)),
    "tweedie_power": ("loss", ("tweedie",)),
    **dict.fromkeys(
        (
            "dropout",
            "input_dropout",
            "weight_decay",
            "clip_norm",
            "clip_value",
            "lr_schedule",
            "lr_schedule_params",
            "warmup",
            "scoring",
            "n_inner_steps",
        ),
        ("solver", _BY_BATCHES),
    ),
    # whose model is an average of iterates: it would not have the norms of the iterates
    "max_norm": ("solver", tuple(name for name in OPTIMIZERS if name != "schedule_free_adamw")),
}

# The parameter loss, and those that say more of one
OF_LOSSES = ("loss", *(name for name, (other, _) in _NEEDS.items() if other == "loss"))

# Parameters that no result depends on
_WITHOUT_EFFECT = ("verbose", "n_jobs", "callbacks", "checkpoint_path", "checkpoint_every", "client")


def closest(name, known):
    """The known name that a wrong one comes closest to; None if it resembles none."""
    return next(iter(difflib.get_close_matches(str(name), [*map(str, known)], n=1, cutoff=0.5)), None)


def did_you_mean(name, known, otherwise="."):
    """The end of a sentence on a wrong name: the name that comes closest, or else `otherwise`."""
    close = closest(name, known)
    return otherwise if close is None else f"; did you mean {close!r}?"


def keep_parameters(estimator, given):
    """Store what the constructor was given, as scikit-learn's `clone` wants it: every parameter, as it is.

    Parameters
    ----------
    estimator : object
    given : dict
        ``locals()`` of its ``__init__``.
    """
    vars(estimator).update((name, value) for name, value in given.items() if name != "self")


def constructor(kind, positional=None, **others):
    """A constructor with parameters of another class.

    Parameters
    ----------
    kind : type
        Those that it takes by keyword alone are taken over.
    positional : dict of str to object, default=None
        The parameters that may be given by position, and their defaults; None: those of `kind`.
    **others : object
        Further ones, by keyword alone.

    Returns
    -------
    __init__ : function
        With the signature that scikit-learn, `help` and editors look at.
    """
    known = inspect.signature(kind.__init__).parameters
    by_keyword = [parameter for parameter in known.values() if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    first = [parameter for parameter in known.values() if parameter not in by_keyword]
    if positional is not None:
        first[1:] = _with_defaults(positional, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = _with_defaults(others, inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.Signature([*first, *own, *(one for one in by_keyword if one.name not in others)])

    def __init__(self, *args, **params):
        given = signature.bind(self, *args, **params)
        given.apply_defaults()
        keep_parameters(self, given.arguments)

    __init__.__signature__ = signature
    return __init__


def _with_defaults(defaults, kind):
    return [inspect.Parameter(name, kind, default=default) for name, default in defaults.items()]


@functools.cache
def constructor_defaults(kind):
    """Defaults of a class's constructor, by parameter; where it derives from ours, our own defaults."""
    constructors = [vars(base)["__init__"] for base in kind.__mro__[:-1] if "__init__" in vars(base)]
    parameters = [item for constructor in constructors for item in inspect.signature(constructor).parameters.items()]
    return {name: parameter.default for name, parameter in parameters if parameter.default is not parameter.empty}


@functools.cache
def _valid_defaults(kind):
    """Those of a class's defaults that its constraints allow."""
    valid = {}
    for name, default in constructor_defaults(kind).items():
        with suppress(InvalidParameterError):
            validate_parameter_constraints(kind._parameter_constraints, {name: default}, kind.__name__)
            valid[name] = default
    return valid


class ParametersMixin:
    """What scikit-learn does with the parameters at every call, without what has the same outcome every time."""

    @classmethod
    @functools.cache
    def _get_param_names(cls):
        return super()._get_param_names()

    def _validate_params(self):
        valid, nothing = _valid_defaults(type(self)), object()
        changed = {
            name: value for name, value in self.get_params(deep=False).items() if value is not valid.get(name, nothing)
        }
        validate_parameter_constraints(self._parameter_constraints, changed, type(self).__name__)


def plain(value):
    """A parameter without NumPy's types: compiled code knows only `str`, and a float32 would round what it meets."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def reasons_of_needs(params):
    """Names of parameters that need another value of another one, and how a warning says that."""
    for name, (other, values) in _NEEDS.items():
        if name in params and other in params and params[other] not in values:
            needed = f"{other}={' or '.join(map(repr, values))}"
            yield name, f"with {other}={params[other]!r}: it needs {needed}"


def _reasons(params, has_validation_set):
    """Names of parameters that have no effect as the others are, and why."""
    yield from reasons_of_needs(params)
    schedule = params["lr_schedule"]
    if not isinstance(schedule, str):
        yield "lr_schedule_params", f"with lr_schedule={schedule!r}: it needs the name of a schedule"
    if schedule is not None and params["solver"] in OPTIMIZERS:
        yield "learning_rate", f"with lr_schedule={schedule!r}, which replaces it"
    if not has_validation_set and not params["early_stopping"]:
        yield (
            "scoring",
            "with early_stopping=False: it needs early_stopping=True or a validation set, X_val and y_val",
        )
    if params.get("strategy") == "full_batch":
        for name in ("batch_size", "n_inner_steps"):
            yield name, "with strategy='full_batch': an update has all rows"
    if params["checkpoint_path"] is None:
        yield "checkpoint_every", "with checkpoint_path=None: it needs the path of a file"


def parameters_in_effect(estimator, n_hidden, incremental, has_validation_set):
    """The parameters as a fit takes them: in Python's types, and those without effect at their defaults.

    Parameters
    ----------
    estimator : BaseMLP
    n_hidden : int
        Number of hidden layers.
    incremental : bool
        Whether this is `partial_fit`.
    has_validation_set : bool
        Whether `X_val` was given.

    Returns
    -------
    params : dict of str to object
        By name, all of them.

    Raises
    ------
    ValueError
        If parameters that are fine alone contradict each other. It names them and their values.

    Warns
    -----
    UserWarning
        For each parameter that was changed from its default and has no effect. It names the other one too.
    """
    defaults = constructor_defaults(type(estimator))
    params = {
        name: value if value is defaults[name] else plain(value)
        for name, value in dict(vars(estimator)).items()
        if name in defaults
    }
    reset_without_effect(params, defaults, _reasons(params, has_validation_set))
    _check_lists(params, n_hidden)
    _check_contradictions(params, incremental, has_validation_set)
    return params


def reset_without_effect(params, defaults, reasons):
    """Put parameters without effect to their defaults, and warn of those that had another value.

    Parameters
    ----------
    params, defaults : dict of str to object
    reasons : iterable of (str, str)
        Names of parameters without effect, and why; of several reasons the first counts.
    """
    for name, why in dict(reversed([*reasons])).items():
        value, default = params[name], defaults[name]
        if value is not default and value != default:
            warnings.warn(f"{name}={value!r} has no effect {why}.")
            params[name] = default


def with_effect(params):
    """The parameters that results depend on, in the order of their names."""
    return {name: value for name, value in sorted(params.items()) if name not in _WITHOUT_EFFECT}


def _refuse(params, name, why):
    raise ValueError(f"{name}={params[name]!r} {why}")


def _check_lists(params, n_hidden):
    """Refuse lists of another length than the hidden layers, or with values that are not allowed."""
    for name in ("activation", "dropout"):
        if isinstance(params[name], list | tuple) and len(params[name]) != n_hidden:
            _refuse(params, name, f"must have one entry for each hidden layer, of which there are {n_hidden}.")
    if isinstance(params["activation"], list | tuple):
        for name in params["activation"]:
            if not isinstance(name, str) or name not in ACTIVATIONS:
                _refuse(params, "activation", f"has {name!r}, which is none of {', '.join(sorted(ACTIVATIONS))}.")
    if isinstance(params["dropout"], list | tuple):
        for rate in params["dropout"]:
            if not isinstance(rate, Real) or not 0 <= rate < 1:
                _refuse(params, "dropout", f"has {rate!r}, which is not in [0, 1).")
    callbacks = params["callbacks"]
    if isinstance(callbacks, list | tuple) and not all(map(callable, callbacks)):
        _refuse(params, "callbacks", "must be functions of (estimator, epoch, metrics).")


def _check_contradictions(params, incremental, has_validation_set):
    """Refuse parameters that contradict each other, or would lose what they promise."""
    stochastic = params["solver"] in OPTIMIZERS
    if stochastic:
        schedule_for(
            params["lr_schedule"],
            params["lr_schedule_params"],
            params["warmup"],
            learning_rate_init=params["learning_rate_init"],
        )
    if params["clip_norm"] is not None and params["clip_value"] is not None:
        _refuse(params, "clip_norm", f"and clip_value={params['clip_value']!r} exclude each other.")
    if params["solver"] == "schedule_free_adamw" and params["beta_1"] == 0:
        _refuse(params, "beta_1", "must be > 0 with solver='schedule_free_adamw'.")
    if params["solver"] == "lbfgs" and params["dtype"] is not None and np.dtype(params["dtype"]) == np.float32:
        _refuse(params, "dtype", "does not go with solver='lbfgs', which computes in float64.")
    if has_validation_set and not stochastic:
        _refuse(params, "solver", "does not use a validation set: leave X_val and y_val out.")
    every = params["checkpoint_every"]
    if isinstance(every, timedelta) and every <= timedelta(0):
        _refuse(params, "checkpoint_every", "must be a time > 0.")
    if params["checkpoint_path"] is not None:
        if not stochastic:
            solvers = " or ".join(map(repr, _BY_BATCHES))
            _refuse(params, "checkpoint_path", f"needs solver={solvers}, got solver={params['solver']!r}.")
        if incremental:
            _refuse(params, "checkpoint_path", "is for fit; after partial_fit, store the estimator itself.")
        if params["warm_start"]:
            _refuse(params, "checkpoint_path", "does not go with warm_start=True: a checkpoint starts from nothing.")
    if params["early_stopping"] and stochastic:
        if incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if params["validation_fraction"] == 0 and not has_validation_set:
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
    activation : str or array-like of str, default="relu"
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
        An epoch must improve the best loss, or validation score, by this much to count as progress; a loss that
        scikit-learn's MLP lacks by ``tol * min(1, abs(best))``. For "lbfgs" the largest gradient at which to stop.
    verbose : bool or int, default=False
        Print the loss of every epoch or iteration.
    warm_start : bool, default=False
        Let `fit` go on from the parameters that are there. On other data than those of the `fit` before, the best
        loss or score and the count of epochs without progress start anew.
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
    "classification": """\
    loss : {"log_loss", "focal", "hinge"}, default="log_loss"
        "focal" is the log-loss with less weight on samples that are right already; "hinge" is about margins and gives
        no probabilities.
    class_weight : dict, "balanced", list of dict or None, default=None
        Weights of the classes in the loss, by label; "balanced" is ``n_samples / (n_classes * count)``. For several
        outputs a list with one for each, or "balanced"; a sample then has the product. Labels that y lacks may have a
        weight if all that it has do.
    label_smoothing : float, default=0.0
        Share of a target that is spread evenly over the classes, in [0, 1). No effect but with loss="log_loss".
    focal_gamma : float, default=2.0
        Exponent of loss="focal". No effect with another loss.""",
    "classes": """\
    classes_ : ndarray of shape (n_classes,) or list of such
        Labels in ascending order; a list, one for each output, for multiclass-multioutput.""",
    "outputs of classes": """\
    out_activation_ : str
        "softmax" or "logistic"; "identity" for "hinge".""",
    "outputs of numbers": """\
    out_activation_ : str
        "identity", or "exp" for the losses that predict through it.""",
    "more": """\
    weight_init : str, default="auto"
        Distribution of the initial weights. "auto" is scikit-learn's: uniform in +-sqrt(6 / (fan_in + fan_out)),
        for logistic units sqrt(2 / ...), intercepts likewise. "glorot_uniform", "glorot_normal", "he_uniform",
        "he_normal", "lecun_uniform", "lecun_normal" and "orthogonal" leave the intercepts 0.
    dropout : float or array-like of float, default=0.0
        Share of the units of the hidden layers, or of each of them, that an update leaves out; in [0, 1). No effect
        with "lbfgs".
    input_dropout : float, default=0.0
        Likewise of the features; X must be dense. No effect with "lbfgs".
    weight_decay : float or None, default=None
        Decoupled weight decay: every update multiplies `coefs_` by ``1 - rate * weight_decay``. None is 0.01 for
        "adamw", 0 for the others. No effect with "lbfgs".
    max_norm : float or None, default=None
        Longest norm of the incoming weights of a unit; longer ones are scaled back after each update. No
        effect with "lbfgs" and "schedule_free_adamw".
    clip_norm, clip_value : float or None, default=None
        Largest norm of the whole gradient, or largest absolute value of its elements. One of the two. No effect with
        "lbfgs".
    lr_schedule : str, callable or None, default=None
        Learning rate in the course of the training, for every solver but "lbfgs": "constant", "invscaling", "adaptive",
        "plateau", "step", "exponential", "cosine", "one_cycle", or a function of the number of the update, from 0, that
        returns the rate. None leaves it to `learning_rate`, which "sgd" alone obeys; beside another value that has no
        effect.
    lr_schedule_params : dict or None, default=None
        Options of `lr_schedule`, see docs/options.md. No effect where that is no name.
    warmup : int or float, default=0
        Updates, or share of all of them, in which the rate rises to that of the schedule, in a line from 0. No effect
        with "lbfgs".
    scoring : str, callable or None, default=None
        Validation score: a scorer of scikit-learn's, or "loss" for the negative validation loss. None is accuracy or
        R2 for the losses and targets that scikit-learn's MLP has, and "loss" for all others. A score that is undefined
        or constant on the validation rows gives way to "loss" with a warning. No effect without `early_stopping` or
        `X_val`.
    callbacks : callable, list of callable or None, default=None
        Functions of (estimator, epoch, metrics), called after every epoch or "lbfgs" iteration: a fitted copy of the
        estimator, the number of the epoch from 1, and a dict of "loss", "learning_rate" (not for "lbfgs") and, with
        validation, "validation_score" and "validation_loss". One that returns True ends the training there; any other
        value changes nothing.
    dtype : {"float32", "float64"}, dtype or None, default=None
        Precision of training, parameters and predictions; rows are cast as they are read. None is that of X.
    n_jobs : int or None, default=None
        Most threads for training and prediction; -1 is all cores. None is what the environment allows. The results
        are the same bit for bit.
    checkpoint_path : str, path or None, default=None
        File to which `fit` writes its state as it goes on. The same call finds it there, if it was killed, and goes
        on to the same model bit for bit; after other parameters or data it is refused. It stays when `fit` is done.
    checkpoint_every : int or datetime.timedelta, default=1
        Epochs, or time, from one checkpoint to the next. No effect without `checkpoint_path`.""",
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
        Score of the validation rows after each epoch, as `scoring` says, with `early_stopping` or `X_val`. Not for
        "lbfgs".
    best_validation_score_ : float or None
        Highest of them; with `early_stopping`, of those since the data last changed. Not for "lbfgs".
    validation_loss_curve_ : list of float
        Loss of the validation rows after each epoch, without the penalty; with `X_val`, or if it is the score.""",
}
