"""The classic perceptron: one step neuron for each class, trained by Rosenblatt's rule."""

import threading
import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import validate_data

from ..borrowed import (
    Interval,
    LinearClassifierMixin,
    SparseCoefMixin,
    StrOptions,
    check_partial_fit_first_call,
    check_sample_weight,
    fit_context,
)
from ..engine import StepNeuron
from ..training import rosenblatt
from ..training.undo import unchanged_on_error
from .exporting import ExportMixin
from .fitted import OF_PERCEPTRON
from .inputs import engine_rows
from .parameters import ParametersMixin, keep_parameters
from .pickling import PickleMixin

__all__ = ["Perceptron"]

_SEEDS = np.iinfo(np.int32).max
# The bias swings less where most features of a row are 0: scikit-learn's choice for sparse data
_SPARSE_INTERCEPT_RATE = 0.01


class Perceptron(ParametersMixin, PickleMixin, ExportMixin, LinearClassifierMixin, SparseCoefMixin, BaseEstimator):
    """Rosenblatt's perceptron, a linear classifier with a step activation.

    A neuron answers ``h(z)``, with ``z = w x + b`` and the step ``h(z) = 1`` for z > 0, else 0. It learns row by row
    from its mistakes: ``w += eta0 (y - h(z)) x`` and ``b += eta0 (y - h(z))`` for a target y in {0, 1}. A sum z of 0
    is a mistake for either target, so that with s = 2 y - 1 the rule is ``w += eta0 s x``, ``b += eta0 s`` where
    ``s z <= 0``: a step down the gradient of ``max(0, -s z)``. Where the classes can be separated it makes at most
    ``(R / gamma)**2`` mistakes, R being the length of the longest (x, 1) and gamma the largest margin of any (w, b)
    of length 1 (Novikoff 1962). Two classes are told apart by one neuron, more classes by one for each against the
    rest.

    The parameters, attributes and results are those of scikit-learn's Perceptron.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet"} or None, default=None
        Penalty that pulls the weights towards 0 after each row.
    alpha : float, default=0.0001
        Factor of the penalty ``(1 - l1_ratio) / 2 * ||w||**2 + l1_ratio * sum(|w|)``, at least 0.
    l1_ratio : float, default=0.15
        Share of the L1 penalty in penalty="elasticnet", in [0, 1]. It is 0 for "l2", 1 for "l1".
    fit_intercept : bool, default=True
        Whether to train the bias b. Without it b stays 0, or `intercept_init`.
    max_iter : int, default=1000
        Most epochs of `fit`.
    tol : float or None, default=1e-3
        Improvement that counts, of the mean over an epoch of ``max(0, -s z)`` plus the penalty, or with
        `early_stopping` of the validation score. None: train for `max_iter` epochs.
    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch.
    verbose : int, default=0
        Whether to print the state after each epoch.
    eta0 : float, default=1.0
        Learning rate, above 0. Without a penalty and an initial w it only scales w and b.
    n_jobs : int or None, default=None
        Threads for the neurons of several classes; -1 is all cores, None is 1 unless in a `joblib.parallel_config`.
        The results are the same.
    random_state : int, RandomState instance or None, default=0
        Decides how the rows are shuffled and which of them are held out.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows, with the same shares of the classes, and to watch the
        accuracy on them. Not for the first `partial_fit`.
    validation_fraction : float, default=0.1
        Share of the rows held out by `early_stopping`, in (0, 1).
    n_iter_no_change : int, default=5
        Epochs without improvement after which to stop.
    class_weight : dict, "balanced" or None, default=None
        Factors of the steps for each class, by label; "balanced" is ``n_samples / (n_classes * count)``. With several
        classes the neuron of a class applies that class's weight to its own rows, and 1 to the rest.
    warm_start : bool, default=False
        Whether `fit` goes on from the `coef_` and `intercept_` it finds.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights w of each neuron, one for two classes, in the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Bias b of each neuron.
    n_iter_ : int
        Epochs of the last call; of several neurons the most.
    t_ : float
        Rows seen since the last `fit` began, plus 1; of several neurons the most.
    n_features_in_ : int
        Features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had any that were all strings.

    See Also
    --------
    MLPClassifier : Layers of neurons with a slope, which separate what no line separates.
    from_sklearn : Take over a perceptron fitted by scikit-learn.
    load : Read a perceptron that `save` wrote.

    Notes
    -----
    With the same parameters and integer seed the results equal those of scikit-learn 1.9 bit for bit, where its
    compiler kept to the order and rounding of the source (x86-64). Before 1.8 scikit-learn left the penalty out of
    what `tol` watches, so that it stopped at another epoch.

    For sparse X, b is trained at a hundredth of the rate, and the norms in the watched penalty are those of the
    features of the last row that changed w, both as scikit-learn has them.

    References
    ----------
    F. Rosenblatt (1958), "The perceptron: a probabilistic model for information storage and organization in the
    brain", Psychological Review 65.

    A.B.J. Novikoff (1962), "On convergence proofs on perceptrons", Symposium on the Mathematical Theory of Automata.

    Y. Tsuruoka, J. Tsujii, S. Ananiadou (2009), "Stochastic gradient descent training for L1-regularized log-linear
    models with cumulative penalty", ACL.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import Perceptron
    >>> X, y = load_digits(return_X_y=True)
    >>> model = Perceptron().fit(X, y)
    >>> model.coef_.shape
    (10, 64)
    >>> round(model.score(X, y), 2)
    0.94
    """

    _parameter_constraints: ClassVar[dict] = {
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "verbose": ["verbose"],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "warm_start": ["boolean"],
    }

    _attributes: ClassVar[dict] = OF_PERCEPTRON
    _fitted_by: ClassVar[str] = "coef_"

    def __init__(
        self,
        *,
        penalty=None,
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        eta0=1.0,
        n_jobs=None,
        random_state=0,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        class_weight=None,
        warm_start=False,
    ):
        keep_parameters(self, locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, coef_init=None, intercept_init=None, sample_weight=None):
        """Train until the objective, or the validation score, no longer improves.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. C-contiguous float32 or float64 and CSR are used where they lie, anything else is converted
            once. float32 is trained in float32, with sums in float64.
        y : array-like of shape (n_samples,)
            Class labels, of two classes or more.
        coef_init : array-like of shape (1, n_features), (n_features,) or (n_classes, n_features), default=None
            Weights to begin with; None: 0, or with `warm_start` those of the model.
        intercept_init : array-like of shape (1,), () or (n_classes,), default=None
            Biases to begin with, likewise.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Factors of the rows' steps, besides `class_weight`; not all 0. None: 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are refused, or the weights become non-finite. The estimator is then as it was
            before the call, as it is after an interrupt (Ctrl-C).

        Warns
        -----
        ConvergenceWarning
            If `max_iter` epochs were not enough.
        """
        fitted, before = type(self).__new__(type(self)), dict(vars(self))
        vars(fitted).update(before)  # other threads may predict by the model of before, or pickle it
        for name in ("classes_", "t_"):
            vars(fitted).pop(name, None)
        y = validate_data(fitted, y=y)
        if self.warm_start and hasattr(self, "coef_"):
            coef_init = self.coef_ if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        fitted._train(X, y, np.unique(y), sample_weight, coef_init, intercept_init, self.max_iter)
        vars(self).update(vars(fitted))
        for name in before.keys() - vars(fitted).keys():
            vars(self).pop(name, None)
        if self.tol is not None and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the"
                " fit.",
                ConvergenceWarning,
            )
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train one epoch on the given data, going on from the weights as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,)
            Class labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever be seen. Needed at the first call, optional and unchanged afterwards. `y` may lack
            some of them.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Factors of the rows' steps, besides `class_weight`; not all 0. None: 1.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            If `classes` is missing or changed, if a first call has `early_stopping` or class_weight="balanced", if
            `coef_` is sparse, and as in `fit`; the estimator is then as it was before the call.
        """
        with unchanged_on_error(self):
            if not hasattr(self, "classes_"):
                if self.early_stopping:
                    raise ValueError("early_stopping should be False with partial_fit")
                if isinstance(self.class_weight, str):
                    raise ValueError(
                        "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights,"
                        " use compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large"
                        " enough sample of the full training set target to properly estimate the class frequency"
                        " distributions. Pass the resulting weights as the class_weight parameter."
                    )
            coef, intercept = getattr(self, "coef_", None), getattr(self, "intercept_", None)
            self._train(X, y, classes, sample_weight, coef, intercept, max_iter=1, exact_intercept=True)
        return self

    def _train(self, X, y, classes, sample_weight, coef, intercept, max_iter, exact_intercept=False):
        """Train all neurons from the given weights and biases, None for 0."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            accept_large_sparse=False,
            reset=not hasattr(self, "classes_"),
        )
        X = engine_rows(X, ascending=False)
        check_partial_fit_first_call(self, classes)
        n_classes = len(self.classes_)
        class_weight = compute_class_weight(self.class_weight, classes=self.classes_, y=y).astype(X.dtype)
        sample_weight = check_sample_weight(sample_weight, X, dtype=X.dtype)
        if not sample_weight.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        if n_classes == 1:
            raise ValueError("The number of classes has to be greater than one; got 1 class")
        coef, intercept = self._initial(coef, intercept, X, np.float64 if exact_intercept else X.dtype)
        rng = check_random_state(self.random_state)
        if n_classes == 2:
            positives = [y == self.classes_[1]]
            factors = [class_weight[::-1]]  # of the steps of the positive rows and of the others
            rng.randint(1, _SEEDS)  # scikit-learn draws one seed more than it needs, before the split
            held_out = self._held_out(positives[0], sample_weight)
            seeds = [rng.randint(_SEEDS)]
        else:
            positives = [y == label for label in self.classes_]
            factors = [(weight, 1) for weight in class_weight]
            held_out = self._held_out(y, sample_weight)
            seeds = [_second_draw(seed) for seed in rng.randint(_SEEDS, size=n_classes)]
        common = {"held_out": held_out, "max_iter": max_iter, "cancelled": threading.Event()}
        neurons = zip(positives, factors, coef, intercept, seeds, strict=True)
        if n_classes == 2:
            results = [self._train_neuron(X, sample_weight, *next(neurons), **common)]
        else:
            # joblib starts as many threads as it is told
            n_jobs = self.n_jobs if self.n_jobs is None else min(self.n_jobs, n_classes)
            parallel = Parallel(n_jobs=n_jobs, verbose=self.verbose, require="sharedmem")
            try:
                results = parallel(delayed(self._train_neuron)(X, sample_weight, *own, **common) for own in neurons)
            except BaseException:
                common["cancelled"].set()  # else the other threads would train on behind the user's back
                raise
        intercepts, n_iters = zip(*results, strict=True)
        self.coef_ = coef
        self.intercept_ = np.array(intercepts, dtype=np.float64 if n_classes == 2 else X.dtype)
        self.n_iter_ = max(n_iters)
        self.t_ = getattr(self, "t_", 1.0) + self.n_iter_ * len(y)

    def _initial(self, coef, intercept, X, intercept_dtype):
        """Copies of the weights and biases to begin with, one row and one number for each neuron."""
        n_neurons, n_features = len(self.classes_) if len(self.classes_) > 2 else 1, X.shape[1]
        if issparse(coef):
            raise ValueError("coef_ is sparse: call densify before training goes on.")
        coef = np.zeros((n_neurons, n_features)) if coef is None else np.asarray(coef)
        intercept = np.zeros(n_neurons) if intercept is None else np.asarray(intercept)
        if coef.shape != (n_neurons, n_features) and (n_neurons > 1 or coef.shape != (n_features,)):
            raise ValueError(
                f"Provided coef_init does not match dataset. It must be of shape {(n_neurons, n_features)},"
                f" got {coef.shape}."
            )
        if intercept.shape != (n_neurons,) and (n_neurons > 1 or intercept.shape != ()):
            raise ValueError(
                f"Provided intercept_init does not match dataset. It must be of shape ({n_neurons},),"
                f" got {intercept.shape}."
            )
        coef = np.array(coef, dtype=X.dtype, order="C").reshape(n_neurons, n_features)
        return coef, intercept.astype(intercept_dtype).reshape(n_neurons)

    def _held_out(self, y, sample_weight):
        """Which rows early stopping holds out; None without it."""
        if not self.early_stopping:
            return None
        _, rows = train_test_split(
            np.arange(len(y)), test_size=self.validation_fraction, stratify=y, random_state=self.random_state
        )
        if not (sample_weight[rows] > 0).any():
            raise ValueError(
                "The sample weights for validation set are all zero, consider using a different random state."
            )
        held_out = np.zeros(len(y), dtype=bool)
        held_out[rows] = True
        return held_out

    def _train_neuron(
        self, X, sample_weight, positive, factors, coef, intercept, seed, *, held_out, max_iter, cancelled
    ):
        """Train one neuron, its weights in place; gives its bias and number of epochs."""
        intercept_rate = 0.0
        if self.fit_intercept:
            intercept_rate = _SPARSE_INTERCEPT_RATE if issparse(X) else 1.0
        neuron = StepNeuron(
            X,
            np.where(positive, 1.0, -1.0),
            np.where(positive, *factors).astype(X.dtype) * sample_weight,
            coef,
            intercept,
            self.eta0,
            intercept_rate=intercept_rate,
            alpha=0.0 if self.penalty is None else self.alpha,
            l1_ratio={"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty, 0.0),
            with_norms=bool(self.verbose),
        )
        n_iter = rosenblatt.train(
            neuron,
            len(positive),
            held_out=held_out,
            score=None if held_out is None else _accuracy(X, positive, sample_weight, held_out),
            max_iter=max_iter,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            shuffle=self.shuffle,
            seed=seed,
            verbose=self.verbose,
            cancelled=cancelled,
        )
        return neuron.intercept, n_iter


def _second_draw(seed):
    """What scikit-learn seeds the shuffle of one of several neurons with: it has no use for the first."""
    rng = np.random.RandomState(seed)
    rng.randint(1, _SEEDS)
    return rng.randint(_SEEDS)


def _accuracy(X, positive, sample_weight, rows):
    """The score of a neuron on some rows, as a function of its weights and bias.

    Like scikit-learn's it is called with the weights as they are stored, under an L2 penalty a multiple of them.
    """
    X, positive, sample_weight = X[rows], positive[rows], sample_weight[rows]

    def score(coef, intercept):
        sums = safe_sparse_dot(X, coef.reshape(1, -1).T, dense_output=True).ravel() + np.atleast_1d(intercept)
        return float(np.average((sums > 0) == positive, weights=sample_weight))

    return score
