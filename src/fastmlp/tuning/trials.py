"""A trial: the fits of all folds with the same parameters, told of after each epoch."""

import copy
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..borrowed import check_method_params, fit_and_score, safe_split
from ..estimators.base import BaseMLP
from ..estimators.tabular_base import BaseTabularMLP

__all__ = ["Evaluation", "Outcome", "network_of"]


class _StopFit(BaseException):
    """Ends the fit of a fold, and is no failure of it: `except Exception` lets it pass."""


@dataclass
class Outcome:
    """What a trial came to.

    Attributes
    ----------
    folds : list of dict or None
        Of each fold what `fit_and_score` gives; None if the trial was stopped.
    score : float
        Mean over the folds of the score that is searched by, that of the last epoch if the trial was stopped.
    epoch : int
        The last epoch that any fold has done; 0 if none tells of them.
    """

    folds: list | None
    score: float
    epoch: int


def network_of(estimator):
    """The estimator of fastmlp that trains by epochs, and the prefix of its parameters; (None, "") without.

    It is the estimator itself or the last step of a Pipeline.
    """
    prefix = ""
    while isinstance(estimator, Pipeline):
        name, estimator = estimator.steps[-1]
        prefix += f"{name}__"
    return (estimator, prefix) if isinstance(estimator, BaseMLP | BaseTabularMLP) else (None, "")


@dataclass
class Evaluation:
    """What all trials of a search have in common.

    Attributes
    ----------
    estimator : estimator
    X, y : data
        As given to `fit`.
    splits : list of tuple of ndarray
        Rows to train on and to score, of each fold.
    scorer : callable
        As `BaseSearchCV._get_scorers` gives it.
    metric : str or None
        The score that is searched by, of several; None is the only one or the first.
    fit_params, score_params : dict
    error_score : float or "raise"
    return_train_score : bool
    contexts : Contexts or None
        Where scikit-learn's callbacks are told.
    """

    estimator: Any
    X: Any
    y: Any
    splits: list
    scorer: Any
    metric: str | None
    fit_params: dict
    score_params: dict
    error_score: Any
    return_train_score: bool
    contexts: Any = None

    def value(self, scores):
        """The score that is searched by, of what the scorer gives."""
        if isinstance(scores, dict):
            scores = scores[next(iter(scores)) if self.metric is None else self.metric]
        return float(scores)

    def __call__(self, params, report=None, judged=None, until=None, checkpoints=None):
        """Fit and score all folds, in threads where fits tell of their epochs.

        Parameters
        ----------
        params : dict
            For `set_params`.
        report : callable, default=None
            (epoch, mean score over the folds) -> whether to stop. The folds wait for each other; one that has ended
            counts by its score at the end.
        judged : container of int, default=None
            The epochs after which to report; None is each.
        until : int, default=None
            The epoch after which to stop. Folds that end before have their score at the end.
        checkpoints : list of str, default=None
            Files in which the fits of the folds keep their state, and go on from.

        Returns
        -------
        Outcome
        """
        meeting = _Meeting(len(self.splits), report, judged, until)
        # scikit-learn has a configuration for each thread
        run = partial(self._fold, params=params, meeting=meeting, checkpoints=checkpoints, config=get_config())
        folds = range(len(self.splits))
        estimator = clone(self.estimator).set_params(**clone(params, safe=False))
        if network_of(estimator)[0] is None:
            results = [run(fold) for fold in folds]
        else:
            with ThreadPoolExecutor(len(folds), "fastmlp-fold") as pool:
                futures = [pool.submit(run, fold) for fold in folds]
                try:
                    results = [future.result() for future in futures]
                except BaseException:
                    meeting.interrupt()
                    raise
        if meeting.error is not None:
            raise meeting.error
        stopped = any(result is None for result in results)
        return Outcome(None if stopped else results, float(np.mean(meeting.scores)), meeting.last)

    def _fold(self, fold, params, meeting, checkpoints, config):
        """What `fit_and_score` gives of a fold; None if it was stopped."""
        score = None
        try:
            with config_context(**config), suppress(_StopFit):
                result = self._fit(fold, params, meeting, checkpoints)
                score = self.value(result["test_scores"])
                return result
            return None
        except BaseException:
            meeting.interrupt()
            raise
        finally:
            meeting.ends(fold, score)

    def _fit(self, fold, params, meeting, checkpoints):
        estimator = clone(self.estimator).set_params(**clone(params, safe=False))
        network, prefix = network_of(estimator)
        train, test = self.splits[fold]
        if network is not None:
            given = network.callbacks
            given = () if given is None else (given,) if callable(given) else given
            own = {"callbacks": [*given, _Epochs(meeting, fold, _TestScore(self, estimator, train, test))]}
            if len(self.splits) > 1 and network.n_jobs is None:
                own["n_jobs"] = 1  # the folds are the threads; the results are the same
            if checkpoints is not None:
                own["checkpoint_path"] = checkpoints[fold]
                # written once, before the epoch that ends the round, and so never beyond it
                own["checkpoint_every"] = max(1, (meeting.until or network.max_iter) - 1)
            estimator.set_params(**{f"{prefix}{name}": value for name, value in own.items()})
        return fit_and_score(
            estimator, self.X, self.y, scorer=self.scorer, train=train, test=test, verbose=0, parameters=None,
            fit_params=self.fit_params, score_params=self.score_params, return_train_score=self.return_train_score,
            return_n_test_samples=True, return_times=True, error_score=self.error_score,
            **({} if self.contexts is None else self.contexts.of_fit()),
        )  # fmt: skip


class _TestScore:
    """The score of a network in training for the rows that its fold holds out."""

    def __init__(self, evaluation, estimator, train, test):
        self.evaluation, self.estimator, self.rows = evaluation, estimator, (test, train)
        self.data = None

    def __call__(self, network):
        if self.data is None:
            self.data = self._data()
        X, y, params = self.data
        args = (X,) if y is None else (X, y)
        return self.evaluation.value(self.evaluation.scorer(_in_place(self.estimator, network), *args, **params))

    def _data(self):
        """The rows as the network sees them, when all steps before it are fitted."""
        evaluation, (test, train) = self.evaluation, self.rows
        X, y = safe_split(self.estimator, evaluation.X, evaluation.y, test, train)
        step = self.estimator
        while isinstance(step, Pipeline):
            if len(step.steps) > 1:
                X = step[:-1].transform(X)
            step = step.steps[-1][1]
        return X, y, check_method_params(evaluation.X, params=evaluation.score_params, indices=test)


def _in_place(estimator, network):
    """A pipeline of its last step alone, which is the network; or the network."""
    if not isinstance(estimator, Pipeline):
        return network
    name, last = estimator.steps[-1]
    pipeline = copy.copy(estimator)
    pipeline.steps = [(name, _in_place(last, network))]
    return pipeline


class _Epochs:
    """The callback by which a fit tells the meeting of its epochs. Of an ensemble the first member tells."""

    def __init__(self, meeting, fold, score):
        self.meeting, self.fold, self.score = meeting, fold, score

    def __call__(self, network, epoch, metrics):
        if metrics.get("member", 0) == 0:
            self.meeting.comes(self.fold, epoch, network, self.score)
        elif self.meeting.stopped:
            raise _StopFit


class _Meeting:
    """Where the folds of a trial meet after epochs that are judged.

    Attributes
    ----------
    scores : list of float
        The last of each fold.
    last : int
        The last epoch that any fold has told of.
    """

    def __init__(self, n_folds, report, judged, until):
        self.report, self.judged, self.until = report, judged, until
        self.condition = threading.Condition()
        self.scores = [math.nan] * n_folds
        self.at = [0] * n_folds  # epoch of each fold; inf when it has ended
        self.last = self.decided = 0
        self.stopped, self.error = False, None

    def comes(self, fold, epoch, network, score):
        """A fold has done an epoch: wait for the others where the mean is reported; raise if all are to stop."""
        with self.condition:
            self.last = max(self.last, epoch)
        if self.stopped:
            raise _StopFit
        if self.until is not None and epoch >= self.until:
            self.scores[fold] = score(network)
            raise _StopFit
        if self.report is None or not (self.judged is None or epoch in self.judged):
            return
        value = score(network)
        with self.condition:
            self.scores[fold], self.at[fold] = value, epoch
            self._decide()
            self.condition.wait_for(lambda: self.stopped or self.decided >= epoch)
            if self.stopped:
                raise _StopFit

    def ends(self, fold, score):
        """A fold has ended with this score, or None if it was stopped."""
        with self.condition:
            if score is not None:
                self.scores[fold] = score
            self.at[fold] = math.inf
            self._decide()

    def interrupt(self):
        with self.condition:
            self.stopped = True
            self.condition.notify_all()

    def _decide(self):
        epoch = min(self.at)
        if self.report is None or self.stopped or not self.decided < epoch < math.inf:
            return
        self.decided = epoch
        mean = float(np.mean(self.scores))
        try:
            self.stopped = self.report(epoch, mean) if math.isfinite(mean) else False
        except BaseException as error:
            self.error, self.stopped = error, True
        self.condition.notify_all()
