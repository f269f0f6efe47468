"""Tables as people have them: raw columns in, an ensemble of small networks inside."""

import math
import time
import warnings
from abc import ABC, abstractmethod
from contextlib import nullcontext
from copy import copy
from functools import cache, partial
from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils.validation import check_is_fitted

from ..borrowed import fit_context
from ..data.sources import Source
from ..engine import Average, Network, effective_n_threads, single_threaded_blas
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
from ..training.recipes import Recipe, layers_for, train_member
from .callbacks import CallbackSupportMixin, Listeners, MemberListeners, with_callbacks
from .inputs import effective_n_jobs
from .parameters import ParametersMixin, constructor_defaults, plain, reasons_of_needs, reset_without_effect
from .pickling import PickleMixin
from .representation import ROWS_OF_TABLES, NetworkReprMixin
from .streaming import PredictToMixin, placed
from .tabular_explanations import TabularExplanationMixin
from .tabular_exporting import TabularExportMixin
from .tabular_keeping import kept_members, seed_of
from .tabular_members import Ensemble, Plan, outputs_of_turn, work
from .tabular_parameters import DEFAULT_MEMBERS, TABULAR_CONSTRAINTS, recipes_in_effect
from .tabular_reading import TabularReadingMixin
from .validation import hold_out, strata

__all__ = ["BaseTabularMLP"]

_REPEATS = 3  # of the portfolio on other folds, at most, while there is time
_MOST_ROWS = 10_000  # whose predictions decide the weights of members

# Attributes of a fit that the next one may lack
_OF_A_FIT = ("feature_names_in_", "members_", "oof_prediction_", "oof_score_", "_average")


class BaseTabularMLP(
    TabularReadingMixin,
    ParametersMixin,
    PickleMixin,
    PredictToMixin,
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
    _parameter_constraints: ClassVar[dict] = TABULAR_CONSTRAINTS
    _portfolio: ClassVar[tuple]  # of recipes
    _alone: ClassVar[Recipe]  # of a single member
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
    def _learn_targets(self, y, few):
        """Set what `_engine_y` and `_from_outputs` need, and `n_outputs_`.

        `few` are targets that have all labels, or the lowest and the highest number, where y is a sample; else y.
        """

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
        """The score for finite outputs of held-out rows where that is quick; None where a scorer is asked."""

    def _smooths_labels(self):
        """Whether labels stay smoothed where recipes say so: by default for the sake of classes alone."""
        asked = isinstance(self.recipe, Recipe) or "label_smoothing" in (self.recipe or ())
        return asked or self.scoring in (None, "accuracy")

    def _weigher(self, rows, known):
        """What scores an average of members in the choice of their weights, where it is not the score; else None."""
        return None

    def _class_weights(self, labels, counts=None):
        """The weight of each class in the loss, or None; with counts each label is there once."""
        return None

    def _weighed(self, class_weights, y, sample_weight):
        """Weights of rows in the loss, of the engine's y."""
        return sample_weight

    def _classes(self, y):
        """Codes whose shares the folds keep, or None."""
        return None

    # Fitting

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, *, X_val=None, y_val=None):
        """Fit the members.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features), or source
            A table: a frame of pandas, Polars or PyArrow, a dict of columns, a list of dicts, an array or lists of
            rows. Columns may be numbers, strings, categories, bools and dates, with gaps. A source, of `scan_parquet`
            or `scan_npy`, has y and sample_weight too. One of more rows than its window is encoded to temporary files,
            and scales, scores and weights of members come from a sample of its rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets: labels of any one type; or numbers, of several outputs too. None beside a source alone.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero. None weighs all samples by 1.
        X_val : like X, of shape (n_val, n_features), default=None
            Validation data, which decide the best epoch of all members. These then train on all of X. A source has
            their targets too, and must not have more rows than its window.
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
        recipes = recipes_in_effect(self._own_recipes(), self.recipe, self.max_iter, self._smooths_labels())
        n_members = self._n_members(len(recipes))
        listeners = Listeners(self, X, y, sample_weight, n_members)
        seed = seed_of(self.random_state, self.checkpoint_path)
        rows = self._read(X, y, sample_weight, X_val, y_val, seed)
        try:
            self._fit_rows(rows, recipes, n_members, X_val is not None, seed, listeners, began)
        finally:
            if rows.files is not None:
                rows.files.close()

    def _fit_rows(self, rows, recipes, n_members, is_validated, seed, listeners, began):
        n_folds = 1 if is_validated or n_members == 1 else n_folds_of(n_members)
        recipes = recipes[: math.ceil(n_members / n_folds)]
        plans = [self._plan(recipe) for recipe in recipes]
        self._loss = plans[0].loss
        division = cache(partial(self._division, rows, n_folds))
        ensemble = Ensemble(recipes, plans, n_members, n_folds, division)
        score_of = self._scores(rows)
        kept = kept_members(self, rows, n_members, ensemble.expected, seed)
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

        def train(number, recipe, progress):
            plan = ensemble.plan_of(number)
            own, held_out = ensemble.rows_of(seed, number)
            data, own = rows.of_member(own, held_out)
            trained = train_member(
                plan.layers,
                plan.dropout,
                data,
                own,
                held_out,
                recipe,
                loss=plan.loss,
                loss_options=plan.loss_options,
                seed=(seed, number),
                score=score_of(held_out),
                judged=(rows.X, rows.codes),
                n_threads=1 if ensemble.n_members > 1 else None if self.n_jobs is None else n_workers,
                epoch_begins=progress.epoch_begins,
                epoch_ends=progress.epoch_ends,
                part_ends=progress.part_ends,
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
                work=partial(work, self.encoder_.n_continuous_, len(self.encoder_.number_names_)),
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
        return DEFAULT_MEMBERS if self.time_limit is None else _REPEATS * n_folds_of(math.inf) * n_recipes

    def _own_recipes(self):
        """The recipes of the members where `recipe` is none."""
        return (self._alone,) if self.n_members == 1 else self._portfolio

    def _plan(self, recipe):
        """What the networks of a recipe are made of; refuses what no member could be."""
        layers, dropout = layers_for(recipe, self.encoder_, self.n_outputs_)
        loss, options = self._engine_loss(recipe)
        network = Network(layers, None, loss, np.float32, loss_options=options, dropout=dropout)
        shapes = [array.shape for _, array, _ in network.parameters]
        return Plan(layers, dropout, loss, options, network.uses_blas, shapes)

    def _max_threads(self):
        return None if self.n_jobs is None else effective_n_jobs(self.n_jobs)

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
        rows : Rows
        score_of : callable
            Of `_scores`.
        """
        if not turns:
            raise ValueError(
                "The loss of every member is non-finite in its first epoch: targets or weights are too large, or the"
                " recipe's learning_rate is."
            )
        n = len(rows.X)
        outputs = [outputs_of_turn(turn, n, self.n_outputs_) for turn in turns]
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
        if rows.files is not None:
            return
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
        if isinstance(X, Source):
            outputs = np.empty((X.n_rows, self.n_outputs_), dtype=np.float32)
            for block, (start, n_rows) in enumerate(zip(X.starts, X.blocks, strict=True)):
                with placed(X.place(block)):
                    outputs[start : start + n_rows] = self._outputs(X.table([block], targets=False)[0])
            return outputs
        _, encoder, average = self._kept_average()
        return average(*encoder.transform(X))

    def _blocks_to_predict(self, source):
        """The rows of a source as `predict` takes them, block by block."""
        return (source.table([block], targets=False)[0] for block in range(len(source.blocks)))

    def _kept_average(self):
        """The average that is kept for the model, or another one if `n_jobs` or the model is another by now."""
        kept = vars(self).get("_average")
        if kept is None or kept[0] is not self.n_jobs or kept[1] is not self.encoder_:
            kept = self._average = self._average_of_members()
        return kept


def _known(X, outputs, asked):
    """Outputs for the rows that a scorer is given."""
    if asked is not X:
        raise ValueError("A scorer may ask the estimator for predictions of the X that it is given, and no other.")
    return outputs
