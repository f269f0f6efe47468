"""Tables as people have them: raw columns in, an ensemble of small networks inside."""

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from copy import copy
from dataclasses import fields, replace
from functools import cache, partial
from itertools import pairwise
from numbers import Integral, Real
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ..data.tables import TableEncoder
from ..engine import LOSSES, Average, Network, effective_n_threads, logarithm, single_threaded_blas
from ..training.ensembles import (
    Member,
    Result,
    folds,
    greedy_weights,
    integer_seed,
    n_folds_of,
    train_members,
    weighted_average,
)
from ..training.fits import INTERRUPTED
from ..training.portfolio import CLASSIFICATION, REGRESSION
from ..training.recipes import Recipe, layers_for, train_member
from ..training.scores import R2, Accuracy, NegativeBrierScore, NegativeFocalLoss, NegativeLogLoss, NegativeLoss
from .callbacks import CallbackSupportMixin, Listeners, MemberListeners, with_callbacks
from .fitted import OF_TABULAR_CLASSIFIER, OF_TABULAR_REGRESSOR
from .inputs import check_total, check_weights, effective_n_jobs
from .parameters import (
    CONSTRAINTS,
    ParametersMixin,
    constructor_defaults,
    keep_parameters,
    plain,
    reasons_of_needs,
    reset_without_effect,
)
from .pickling import PickleMixin
from .representation import ROWS_OF_TABLES, NetworkReprMixin
from .tabular_explanations import TabularExplanationMixin
from .tabular_exporting import TabularExportMixin
from .tabular_keeping import kept_members, seed_of
from .targets import check_numbers, checked_column, checked_labels
from .validation import hold_out, strata
from .values import LOSS_CONSTRAINTS, LOSS_DOCUMENTATION, ValuesMixin

__all__ = ["BaseTabularMLP", "TabularMLPClassifier", "TabularMLPRegressor"]

_MEMBERS = 15
_REPEATS = 3  # of the portfolio on other folds, at most, while there is time
_MOST_ROWS = 10_000  # whose predictions decide the weights of members

# Attributes of a fit that the next one may lack
_OF_A_FIT = ("feature_names_in_", "members_", "oof_prediction_", "oof_score_", "_average")


class _Plan(NamedTuple):
    """What the networks of a recipe are made of, and their shapes."""

    layers: list
    dropout: list
    loss: str
    loss_options: dict
    uses_blas: bool
    shapes: list  # of the parameters


class _Ensemble(NamedTuple):
    """What each member is, by its number."""

    recipes: tuple
    plans: list  # one for each recipe
    n_members: int  # the most
    n_folds: int
    division: Callable  # seed -> (repeat, fold) -> the rows that a member trains on, and those that it holds out

    def recipe_of(self, number):
        return self.recipes[self._place(number)[1]]

    def rows_of(self, seed, number):
        repeat, _, fold = self._place(number)
        return self.division(seed)(repeat, fold)

    def plan_of(self, number):
        return self.plans[self._place(number)[1]]

    def expected(self, seed, number):
        """What `KeptMembers` asks for."""
        return self.recipe_of(number), self.plan_of(number).shapes, self.rows_of(seed, number)[1]

    def _place(self, number):
        """Repeat, recipe and fold."""
        turn, fold = divmod(number, self.n_folds)
        return *divmod(turn, len(self.recipes)), fold


class _Rows(NamedTuple):
    """Rows as the engine takes them, and the targets as scorers take them; those of a validation set come last."""

    X: np.ndarray
    codes: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None  # of the loss and the default score; with class_weight in it
    labels: np.ndarray
    score_weight: np.ndarray | None  # of other scores
    n_train: int


_SHARED = """\
    n_members : int, default=None
        Networks whose outputs are averaged. Up to nine are trained by one recipe, each on all folds but one; the fold
        that is left decides its best epoch. From ten on, five folds are trained on by one recipe after another, and the
        weights of the recipes in the average are chosen by what their members predict for the folds that are left [2]_.
        One alone holds out `validation_fraction` of the rows. None is {n_members}, or with `time_limit` as many as
        there is time for; a number given beside `time_limit` is the most of them.
    time_limit : float, default=None
        Seconds that `fit` may take. Members then begin while there is time, the last with fewer epochs. None begins an
        epoch that takes longer than what is left, but its first. Without it the same `random_state` gives the same bits
        on any number of threads.
    scoring : str, callable or None, default=None
        What decides the best epoch: a scorer of scikit-learn's. None is {score}. Callables get the held-out rows as the
        numbers that the networks see.
    categorical_features : "from_dtype", array-like of str, int or bool, or None, default="from_dtype"
        Columns of categories. "from_dtype": those of strings, categories, bools and objects that are not all numbers or
        dates; else those of these names or positions, or this mask, or none. Other columns must be numbers or dates."""
_MORE = """\
    max_iter : int, default=None
        Epochs of a member. None is that of the recipe.
    validation_fraction : float, default=0.2
        Share of the rows that a single member holds out. No effect with more members or `X_val`.
    n_jobs : int, default=None
        Most threads, each of which trains a member; -1 is all cores. None is the physical cores. Prediction takes as
        many where the rows are worth it.
    callbacks : callable, list of callable or None, default=None
        Functions of (estimator, epoch, metrics), called after every epoch of a member: an estimator fitted with this
        member alone, as it is then; the number of the epoch from 1; a dict of "member", "loss" and
        "validation_score". One that returns True ends the member. They are called by the members' threads, one at a
        time.
    checkpoint_path : str, path or None, default=None
        File to which `fit` writes each member as it is trained. The same call finds them there, if it was killed or
        interrupted, trains those that are left and comes to the same model bit for bit; after other parameters or data
        the file is refused. With `time_limit` the time starts anew. It stays when `fit` is done.
    verbose : bool or int, default=False
        Print a line for each tenth of a member's epochs; above 1 for each epoch.
    random_state : int, RandomState instance or None, default=None
        Source of folds, initial weights, orders of rows and dropout.
    recipe : Recipe, dict or None, default=None
        Hyperparameters of the networks and their training, see `fastmlp.training.recipes.Recipe`. None is a portfolio
        of recipes, `fastmlp.training.portfolio`; all of them take what a dict has, and a `Recipe` takes their place."""
_ATTRIBUTES = """\
    n_features_in_ : int
        Columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all are strings.
    n_outputs_ : int
        Outputs of each network.
    encoder_ : TableEncoder
        Makes numbers and codes of the columns. It was fitted to all training rows, which needs no targets.
    members_ : list of Member
        The networks that have a part in the average. Each has `recipe`, `weight_`, `loss_curve_`, `validation_scores_`
        and `best_epoch_`, the epoch that it kept.
    n_iter_ : int
        Most epochs of a member.
    oof_prediction_ : ndarray of shape {shape}
        Out-of-fold predictions: {what} of each training row by the members that did not train on it; NaN for rows that
        all members trained on. Neither with `X_val` nor in a pickle, which does not grow with the rows.
    oof_score_ : float
        Their score, as `scoring` says. The rows have decided the best epochs, which makes it a little too high. Not
        with `X_val`."""

_SCORE_OF_CLASSES = """with
        loss="log_loss" the accuracy, and labels are smoothed for it; else the negative mean loss. Both count
        `class_weight`"""
_SCORE_OF_VALUES = """R2 with loss="squared_error", else the
        negative mean over rows of the loss, summed over outputs, of targets as the networks see them (see `loss`)"""
_TRAINING_OF_SORTED = """Training is the
        same, but where `scoring` has a scorer, which sees the sorted ones."""
_REFERENCES = """\
    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart: Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular
       Data, 2024.
    .. [2] Caruana, Niculescu-Mizil, Crew, Ksikes: Ensemble Selection from Libraries of Models, 2004."""


class BaseTabularMLP(
    ParametersMixin,
    PickleMixin,
    TabularExplanationMixin,
    TabularExportMixin,
    NetworkReprMixin,
    CallbackSupportMixin,
    BaseEstimator,
    ABC,
):
    """Fitting and averaging of the members, whatever the targets."""

    _transient: ClassVar[tuple] = ("_average", "oof_prediction_")
    _fitted_by: ClassVar[str] = "members_"
    _parameter_constraints: ClassVar[dict] = {
        "n_members": [Interval(Integral, 1, None, closed="left"), None],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "scoring": [StrOptions({*get_scorer_names()}), callable, None],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "max_iter": [*CONSTRAINTS["max_iter"], None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_jobs": CONSTRAINTS["n_jobs"],
        "callbacks": CONSTRAINTS["callbacks"],
        "checkpoint_path": CONSTRAINTS["checkpoint_path"],
        "verbose": CONSTRAINTS["verbose"],
        "random_state": CONSTRAINTS["random_state"],
        "recipe": [Recipe, dict, None],
    }
    _portfolio: ClassVar[tuple]  # of recipes
    _quantile_ranks = None  # the place of each output in its row, where `predict` sorts rows

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    # What differs between the two

    @abstractmethod
    def _checked_y(self, y, name):
        """Targets as an array, which scorers take."""

    @abstractmethod
    def _learn_targets(self, y):
        """Set what `_engine_y` and `_from_outputs` need, and `n_outputs_`."""

    @abstractmethod
    def _engine_y(self, y, name):
        """Checked targets as the engine takes them."""

    @abstractmethod
    def _engine_loss(self, recipe):
        """A loss of the engine's table, and its options."""

    @abstractmethod
    def _from_outputs(self, outputs):
        """Averaged outputs of the networks as predictions: probabilities, or values in the units of y."""

    @abstractmethod
    def _quick_score(self, rows, held_out, weight):
        """The score for outputs of held-out rows where that is quick; None where a scorer is asked."""

    def _weigher(self, rows, known):
        """What scores an average of members in the choice of their weights, where it is not the score; else None."""
        return None

    def _loss_weight(self, labels, y, sample_weight):
        """Weights of rows in the loss, of the engine's y; the labels are those to train on alone."""
        return sample_weight

    def _classes(self, y):
        """Codes whose shares the folds keep, or None."""
        return None

    # Fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Fit the members.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features)
            A table: a frame of pandas, Polars or PyArrow, a dict of columns, a list of dicts, an array or lists of
            rows. Columns may be numbers, strings, categories, bools and dates, with gaps.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: labels of any one type; or numbers, of several outputs too.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero. None weighs all samples by 1.
        X_val : like X, of shape (n_val, n_features), default=None
            Validation data, which decide the best epoch of all members. These then train on all of X.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their targets.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are refused, or all members become non-finite. The estimator is then as it was
            before the call.

        Warns
        -----
        ConvergenceWarning
            If the loss of a member becomes non-finite: its best epoch before that is kept.
        UserWarning
            If the score is undefined on the held-out rows of a member, whose last epoch is then kept. If interrupted
            (Ctrl-C): the members that are trained are kept, or if there are none those that have begun.
        """
        fitted = copy(self)  # other threads may predict by the model of before
        for name in _OF_A_FIT:
            vars(fitted).pop(name, None)
        fitted._fit(X, y, sample_weight, X_val, y_val, time.monotonic())
        self._take_over(fitted)
        return self

    @with_callbacks
    def _fit(self, X, y, sample_weight, X_val, y_val, began):
        params = {name: plain(value) for name, value in self.get_params(deep=False).items()}
        reset_without_effect(params, constructor_defaults(type(self)), reasons_of_needs(params))
        recipes = self._recipes_in_effect()
        n_members = self._n_members(len(recipes))
        listeners = Listeners(self, X, y, sample_weight, n_members)
        rows = self._read(X, y, sample_weight, X_val, y_val)
        n_folds = 1 if X_val is not None or n_members == 1 else n_folds_of(n_members)
        recipes = recipes[: math.ceil(n_members / n_folds)]
        plans = [self._plan(recipe) for recipe in recipes]
        self._loss = plans[0].loss
        division = cache(partial(self._division, rows, n_folds))
        ensemble = _Ensemble(recipes, plans, n_members, n_folds, division)
        score_of = self._scores(rows)
        kept = kept_members(self, rows, n_members, ensemble.expected)
        seed = seed_of(self.random_state, kept)
        if kept is not None and kept.finished:
            results = kept.results
        else:
            results = self._trained(ensemble, rows, score_of, seed, kept, began, listeners)
        turns = {}
        for number, result in results.items():
            if result.member.best_epoch_:
                turns.setdefault(number // n_folds, []).append(result)
        self._keep([*turns.values()], rows, score_of)
        listeners.fit_ends()

    def _trained(self, ensemble, rows, score_of, seed, kept, began, listeners):
        """Results of the members by number: those that are kept, and those that are trained here."""
        n_workers = effective_n_threads(max_threads=self._max_threads())
        listener = MemberListeners(listeners, ensemble.n_members)

        def train(number, recipe, epoch_begins, epoch_ends):
            plan = ensemble.plan_of(number)
            own, held_out = ensemble.rows_of(seed, number)
            trained = train_member(
                plan.layers,
                plan.dropout,
                (rows.X, rows.codes, rows.y, rows.sample_weight),
                own,
                held_out,
                recipe,
                loss=plan.loss,
                loss_options=plan.loss_options,
                seed=(seed, number),
                score=score_of(held_out),
                n_threads=1 if ensemble.n_members > 1 else None if self.n_jobs is None else n_workers,
                epoch_begins=epoch_begins,
                epoch_ends=epoch_ends,
            )
            outputs = trained.network.predict(rows.X, held_out, codes=rows.codes)
            return Result(Member.of(trained, recipe), held_out, outputs)

        uses_blas = any(plan.uses_blas for plan in ensemble.plans)
        with single_threaded_blas() if uses_blas else nullcontext():
            results, interrupted = train_members(
                train,
                ensemble.recipe_of,
                ensemble.n_members,
                n_workers=n_workers,
                work=partial(_work, self.encoder_.n_continuous_, len(self.encoder_.number_names_)),
                deadline=None if self.time_limit is None else began + self.time_limit,
                listener=listener or None,
                taken=None if kept is None else kept.results,
                keep=None if kept is None else kept.write,
            )
        if interrupted:
            warnings.warn(INTERRUPTED)
        elif kept is not None:
            kept.write(results, finished=True)
        return results

    def _n_members(self, n_recipes):
        """The members to train, or with a limit of time the most of them."""
        if self.n_members is not None:
            return int(self.n_members)
        return _MEMBERS if self.time_limit is None else _REPEATS * n_folds_of(math.inf) * n_recipes

    def _plan(self, recipe):
        """What the networks of a recipe are made of; refuses what no member could be."""
        layers, dropout = layers_for(recipe, self.encoder_, self.n_outputs_)
        loss, options = self._engine_loss(recipe)
        network = Network(layers, None, loss, np.float32, loss_options=options, dropout=dropout)
        shapes = [array.shape for _, array, _ in network.parameters]
        return _Plan(layers, dropout, loss, options, network.uses_blas, shapes)

    def _recipes_in_effect(self):
        """The recipes of the members, in the order in which they are trained."""
        recipes, given = self._portfolio, self.recipe
        if isinstance(given, Recipe):
            recipes = (given,)
        elif given is not None:
            known = [field.name for field in fields(Recipe)]
            for name in given:
                if name not in known:
                    raise ValueError(f"recipe has {name!r}, which is none of {', '.join(known)}.")
            recipes = tuple(replace(recipe, **given) for recipe in recipes)
        if self.max_iter is not None:
            recipes = tuple(replace(recipe, epochs=int(self.max_iter)) for recipe in recipes)
        # smoothed labels make better classes, but no better probabilities
        smooths = isinstance(given, Recipe) or "label_smoothing" in (given or ()) or self.scoring in (None, "accuracy")
        smooths &= self.loss != "focal"
        return recipes if smooths else tuple(replace(recipe, label_smoothing=0.0) for recipe in recipes)

    def _max_threads(self):
        return None if self.n_jobs is None else effective_n_jobs(self.n_jobs)

    def _read(self, X, y, sample_weight, X_val, y_val):
        """The data of a fit as `_Rows`; learns columns and targets."""
        if (X_val is None) != (y_val is None):
            raise ValueError(f"{'X_val' if X_val is None else 'y_val'} is missing: X_val and y_val go together.")
        name = type(self).__name__
        if y is None:
            raise ValueError(f"{name} requires y to be passed, but the target y is None.")
        encoder = TableEncoder(categorical_features=self.categorical_features, estimator=name)
        numbers, codes = encoder.fit_transform(X)
        labels = self._checked_y(y, "y")
        check_consistent_length(numbers, labels)
        n = len(numbers)
        if n < 2:
            raise ValueError(f"{name} needs at least two rows, got n_samples={n}.")
        self.encoder_, self.n_features_in_ = encoder, encoder.n_features_in_
        if hasattr(encoder, "feature_names_in_"):
            self.feature_names_in_ = encoder.feature_names_in_
        score_weight = check_weights(sample_weight, numbers, np.float32)
        self._learn_targets(labels)
        engine_y = self._engine_y(labels, "y")
        parts = [numbers, codes, engine_y, labels, score_weight]
        if X_val is not None:
            try:
                more = encoder.transform(X_val)
            except (ValueError, TypeError) as error:
                raise type(error)(f"X_val: {error}") from error
            labels_val = self._checked_y(y_val, "y_val")
            check_consistent_length(more[0], labels_val)
            parts_val = [*more, self._engine_y(labels_val, "y_val"), labels_val, np.ones(len(labels_val))]
            parts = [
                None if own is None else np.concatenate([own, of_val])
                for own, of_val in zip(parts, parts_val, strict=True)
            ]
        numbers, codes, engine_y, all_labels, score_weight = parts
        weight = self._loss_weight(labels, engine_y, score_weight)
        return _Rows(numbers, codes, engine_y, weight, all_labels, score_weight, n)

    def _division(self, rows, n_folds, seed):
        """(repeat, fold) of a member -> the rows that it trains on and those that decide its best epoch."""
        n, n_all = rows.n_train, len(rows.X)
        if n_all > n:
            own, held_out = np.arange(n), np.arange(n, n_all)
            return lambda repeat, fold: (own, held_out)
        classes = self._classes(rows.y)
        if n_folds > 1:
            return folds(n, n_folds, seed, classes)
        parts = None if classes is None else strata(classes, self.validation_fraction)
        both = hold_out(n, self.validation_fraction, parts, np.random.RandomState(integer_seed(seed)))
        return lambda repeat, fold: both

    def _scores(self, rows):
        """Some rows -> what scores the outputs of a network for them."""

        def score_of(held_out):
            weight = rows.sample_weight if self.scoring is None else rows.score_weight
            weight = None if weight is None else weight[held_out]
            if weight is not None and not weight.any():
                raise ValueError("sample_weight is zero on all rows that a member holds out.")
            return self._quick_score(rows, held_out, weight) or partial(
                self._score, scorer, rows.X[held_out], rows.labels[held_out], weight
            )

        scorer = None if self.scoring is None else check_scoring(self, plain(self.scoring))
        return score_of

    def _score(self, scorer, X, labels, weight, outputs):
        """A scorer's opinion of outputs for some rows; -inf where it has none."""
        if not np.isfinite(outputs).all():
            return -math.inf
        fitted = copy(self)
        fitted._outputs = partial(_known, X, outputs)
        try:
            score = scorer(fitted, X, labels, **({} if weight is None else {"sample_weight": weight}))
        except TypeError as error:
            if weight is None or "sample_weight" not in str(error):
                raise
            raise ValueError(f"scoring={self.scoring!r} takes no sample_weight, and there are some.") from error
        except ValueError:
            if not self._lacks_classes(labels):
                raise
            score = math.nan
        if not isinstance(score, Real):
            raise ValueError(f"scoring={self.scoring!r} must give a number, got {score!r}.")
        return -math.inf if math.isnan(score) else float(score)

    def _lacks_classes(self, labels):
        """Whether there are classes that no label is of, for which some scores are undefined."""
        return False

    def _keep(self, turns, rows, score_of):
        """Take over what the training came to.

        Parameters
        ----------
        turns : list of list of Result
            The members of each turn of a recipe through the folds.
        rows : _Rows
        score_of : callable
            Of `_scores`.
        """
        if not turns:
            raise ValueError(
                "The loss of every member is non-finite in its first epoch: targets or weights are too large, or the"
                " recipe's learning_rate is."
            )
        n = len(rows.X)
        outputs = [_of_turn(turn, n, self.n_outputs_) for turn in turns]
        known = np.flatnonzero(~np.isnan(outputs).any(axis=2).all(axis=0))
        weights = np.ones(1)
        if len(turns) > 1:
            sample = known
            if len(known) > _MOST_ROWS:
                sample = np.sort(np.random.default_rng(n).choice(known, _MOST_ROWS, replace=False))
            weights = greedy_weights([one[sample] for one in outputs], self._weigher(rows, sample) or score_of(sample))
        members = []
        for turn, weight in zip(turns, weights, strict=True):
            for member, _, _ in turn if weight else ():
                member.weight_ = weight / len(turn)
                members.append(member)
        if not all(math.isfinite(member.loss_curve_[-1]) for member in members):
            warnings.warn("The loss of a member became non-finite: its best epoch is kept.", ConvergenceWarning)
        if not all(math.isfinite(max(member.validation_scores_)) for member in members):
            warnings.warn(
                f"scoring={self.scoring!r} is undefined on the rows that a member holds out: its last epoch is kept."
            )
        self.members_ = members
        self.n_iter_ = max(len(member.loss_curve_) for member in members)
        self._average = self._average_of_members()
        if n > rows.n_train:
            return
        outputs = weighted_average([one[known] for one in outputs], weights)
        self.oof_score_ = score_of(known)(outputs)
        predictions = self._from_outputs(outputs)
        self.oof_prediction_ = np.full((n, *predictions.shape[1:]), math.nan, dtype=predictions.dtype)
        self.oof_prediction_[known] = predictions

    def _take_over(self, fitted):
        """Make what a fitted copy has learnt this estimator's own; the parameters are left as they are by now."""
        parameters = self._get_param_names()
        learnt = {name: value for name, value in vars(fitted).items() if name not in parameters}
        vars(self).update(learnt)
        for name in _OF_A_FIT:
            if name not in learnt:
                vars(self).pop(name, None)

    def _told(self):
        return ROWS_OF_TABLES

    # Prediction

    def _average_of_members(self):
        n_jobs = self.n_jobs
        max_threads = None if n_jobs is None else partial(effective_n_jobs, n_jobs)
        return n_jobs, self.encoder_, Average(self._weighted_members(), self._loss, max_threads)

    def _weighted_members(self):
        """The members as `Average` takes them."""
        return [
            (layers_for(member.recipe, self.encoder_, self.n_outputs_)[0], member.parameters, member.weight_)
            for member in self.members_
        ]

    def _outputs(self, X):
        """The average of the networks' outputs, float32 of shape (n_samples, n_outputs_)."""
        if not hasattr(self, "members_"):
            check_is_fitted(self)
        _, encoder, average = self._kept_average()
        return average(*encoder.transform(X))

    def _kept_average(self):
        """The average that is kept for the model, or another one if `n_jobs` or the model is another by now."""
        kept = vars(self).get("_average")
        if kept is None or kept[0] is not self.n_jobs or kept[1] is not self.encoder_:
            kept = self._average = self._average_of_members()
        return kept


def _of_turn(turn, n_rows, n_outputs):
    """Outputs of members for the rows that they held out, averaged where several did; NaN elsewhere."""
    total, count = np.zeros((n_rows, n_outputs), dtype=np.float32), np.zeros((n_rows, 1), dtype=np.float32)
    for _, held_out, outputs in turn:
        total[held_out] += outputs
        count[held_out] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def _work(n_continuous, n_numbers, recipe):
    """What an epoch of a recipe costs beside one of another: multiplications of a row, roughly."""
    width = recipe.number_width * bool(recipe.frequencies) + recipe.piecewise_width * bool(recipe.n_bins)
    units = [n_continuous * width + n_numbers, *recipe.hidden_layer_sizes]
    embedding = n_continuous * (20 * recipe.frequencies + recipe.number_width * recipe.frequencies + recipe.n_bins)
    return embedding + sum(a * b for a, b in pairwise(units)) + 100 * sum(units)


def _deviation(columns):
    """Standard deviations of columns; squares of small values, which a power of two enlarges, are not lost."""
    exponents = np.minimum(np.frexp(np.abs(columns).max(axis=0))[1], 0)
    return np.ldexp(np.ldexp(columns, -exponents).std(axis=0), exponents)


def _known(X, outputs, asked):
    """Outputs for the rows that a scorer is given."""
    if asked is not X:
        raise ValueError("A scorer may ask the estimator for predictions of the X that it is given, and no other.")
    return outputs


class TabularMLPClassifier(ClassifierMixin, BaseTabularMLP):
    __doc__ = f"""Classification of tables as they are: columns of numbers, categories and dates, with gaps.

    Makes numbers and codes of the columns, and averages the probabilities of several networks: RealMLP [1]_, with an
    embedding for each number and category, trained on folds.

    Parameters
    ----------
{_SHARED.format(n_members=_MEMBERS, score=_SCORE_OF_CLASSES)}
    loss : {{"log_loss", "focal"}}, default="log_loss"
        "focal" is the log-loss with less weight on samples that are right already. Recipes smooth no labels for it.
    focal_gamma : float, default=2.0
        Exponent of loss="focal". No effect with another loss.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, by label; "balanced" is ``n_samples / (n_classes * count)``.
{_MORE}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order.
{_ATTRIBUTES.format(shape="(n_samples, n_classes)", what="probabilities")}

    See Also
    --------
    TabularMLPRegressor : The same for regression.
    MLPClassifier : The network of scikit-learn, for matrices of numbers.

{_REFERENCES}

    Examples
    --------
    >>> from fastmlp import TabularMLPClassifier
    >>> X = {{"colour": ["red", "green", None, "red"] * 20, "size": [1.5, 2.0, 2.5, float("nan")] * 20}}
    >>> y = ["apple", "pear", "pear", "apple"] * 20
    >>> model = TabularMLPClassifier(n_members=2, max_iter=20, random_state=0).fit(X, y)
    >>> model.predict({{"colour": "red", "size": 1.4}})
    array(['apple'], dtype='<U5')
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseTabularMLP._parameter_constraints,
        "loss": [StrOptions({"log_loss", "focal"})],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _attributes: ClassVar[dict] = OF_TABULAR_CLASSIFIER
    _portfolio: ClassVar[tuple] = CLASSIFICATION

    def __init__(
        self,
        n_members=None,
        *,
        time_limit=None,
        scoring=None,
        categorical_features="from_dtype",
        loss="log_loss",
        focal_gamma=2.0,
        class_weight=None,
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
        labels = checked_labels(y, name)
        if issparse(labels):
            raise TypeError(f"{name} must be dense, got a sparse matrix.")
        # NumPy makes text of numbers beside text
        labels = np.asarray(labels) if hasattr(labels, "dtype") else np.array(labels, dtype=object)
        if labels.ndim == 2 and labels.shape[1] > 1:
            raise ValueError(f"{name} must have one column of labels, got shape {labels.shape}.")
        return checked_column(column_or_1d(labels, warn=True), name)

    def _learn_targets(self, y):
        self.classes_ = np.unique(y)
        self.n_outputs_ = len(self.classes_)

    def _engine_y(self, y, name):
        codes = np.searchsorted(self.classes_, y) if self._comparable(y) else np.zeros(len(y), dtype=np.intp)
        np.minimum(codes, self.n_outputs_ - 1, out=codes)
        if (unknown := y[self.classes_[codes] != y]).size:
            label = unknown[0].item()
            raise ValueError(f"{name} has the label {label!r}, which is none of the classes {self.classes_}.")
        return codes.astype(np.intp)

    def _comparable(self, y):
        return (y.dtype.kind in "biuf") == (self.classes_.dtype.kind in "biuf")

    def _loss_weight(self, labels, y, sample_weight):
        if self.class_weight is None:
            return sample_weight
        given = self.class_weight
        if isinstance(given, dict) and not all(isinstance(w, Real) and 0 <= w < math.inf for w in given.values()):
            raise ValueError(f"class_weight={given!r} must have finite values >= 0.")
        try:
            weights = compute_class_weight(given, classes=self.classes_, y=labels)[y]
        except ValueError as error:
            raise ValueError(f"class_weight={given!r} does not go with the classes {self.classes_}: {error}") from error
        if sample_weight is not None:
            weights *= sample_weight
        check_total(weights[: len(labels)], np.float32, "sample_weight times class_weight")
        return weights

    def _classes(self, y):
        return y

    def _engine_loss(self, recipe):
        if self.loss == "focal":
            return "focal", {"focal_gamma": float(self.focal_gamma)}
        return "log_loss", {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}

    def _quick_score(self, rows, held_out, weight):
        if self.scoring is None and self.loss == "focal":
            return NegativeFocalLoss(float(self.focal_gamma), rows.y[held_out], weight)
        kind = {None: Accuracy, "accuracy": Accuracy, "neg_log_loss": NegativeLogLoss}.get(self.scoring)
        return None if kind is None else kind(rows.y[held_out], weight)

    def _weigher(self, rows, known):
        if self.scoring not in (None, "accuracy") or self.scoring is None and self.loss == "focal":
            return None
        # accuracy is too coarse to weigh by, and the log loss has too little patience with smoothed labels
        return NegativeBrierScore(rows.y[known], None if rows.sample_weight is None else rows.sample_weight[known])

    def _lacks_classes(self, labels):
        return len(np.unique(labels)) < self.n_outputs_

    def _from_outputs(self, outputs):
        return outputs

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features)
            A table as in `fit`; a dict of scalars is one row.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            The most probable class of each sample.

        Raises
        ------
        ValueError, TypeError
            If columns lack or are unknown, or a column of numbers has other values.
        """
        outputs = self._outputs(X)
        return self.classes_.take(outputs.argmax(axis=1))

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features)
            A table as in `fit`; a dict of scalars is one row.

        Returns
        -------
        y_prob : ndarray of float32 of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to 1.

        Raises
        ------
        ValueError, TypeError
            As in `predict`.
        """
        return self._outputs(X)

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features)
            A table as in `fit`; a dict of scalars is one row.

        Returns
        -------
        log_y_prob : ndarray of float32 of shape (n_samples, n_classes)
            ``log(predict_proba(X))``.
        """
        return logarithm(self._outputs(X))


class TabularMLPRegressor(ValuesMixin, RegressorMixin, BaseTabularMLP):
    __doc__ = f"""Regression on tables as they are: columns of numbers, categories and dates, with gaps.

    Makes numbers and codes of the columns, and averages the predictions of several networks: RealMLP [1]_, with an
    embedding for each number and category, trained on folds. Targets are standardised, and predictions are held within
    the range of the training targets.

    Parameters
    ----------
{_SHARED.format(n_members=_MEMBERS, score=_SCORE_OF_VALUES)}
    loss : str, default="squared_error"
        "squared_error", "absolute_error", "huber", "log_cosh" and "quantile" of the standardised targets; through an
        exponential of targets divided by their mean "poisson" (half the deviance; y >= 0), "gamma" (likewise; y > 0)
        and "tweedie" (likewise; y >= 0).
{LOSS_DOCUMENTATION.format(training=_TRAINING_OF_SORTED, unit=", in standard deviations of y")}
{_MORE}

    Attributes
    ----------
{_ATTRIBUTES.format(shape="(n_samples,) or (n_samples, n_outputs)", what="predictions")}

    See Also
    --------
    TabularMLPClassifier : The same for classification.
    MLPRegressor : The network of scikit-learn, for matrices of numbers.

{_REFERENCES}

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
        **BaseTabularMLP._parameter_constraints,
        **LOSS_CONSTRAINTS,
    }
    _attributes: ClassVar[dict] = OF_TABULAR_REGRESSOR
    _portfolio: ClassVar[tuple] = REGRESSION

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

    def _learn_targets(self, y):
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
        self._least, self._greatest = columns.min(axis=0), columns.max(axis=0)

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
            return lambda outputs: (
                score(np.clip(outputs, least, greatest)) if np.isfinite(outputs).all() else -math.inf
            )
        if self.scoring not in (None, "r2") or len(self._levels or ()) > 1:
            return None
        labels = rows.labels[held_out].reshape(len(held_out), -1)
        exponents = -np.frexp(self._scale)[1]  # squares of small targets would be zero
        r2 = R2(np.ldexp(labels, exponents), weight)
        return lambda outputs: (
            r2(np.ldexp(self._in_units(outputs), exponents)) if np.isfinite(outputs).all() else -math.inf
        )

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
        X : frame, dict, list or array-like of shape (n_samples, n_features)
            A table as in `fit`; a dict of scalars is one row.

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

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination of the predictions, R2; for loss="quantile" D2 of the pinball loss.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features)
            A table as in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        score : float
            `sklearn.metrics.r2_score`, or the mean of `sklearn.metrics.d2_pinball_score` over levels and outputs.
        """
        if self.loss != "quantile":
            return super().score(X, y, sample_weight)
        return self._d2_pinball(y, self.predict(X), sample_weight)
