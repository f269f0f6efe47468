"""Search by Optuna's tree-structured Parzen estimator, in the interface of scikit-learn's searches."""

import math
import os
import shutil
import time
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from tempfile import TemporaryDirectory
from typing import ClassVar
from urllib.parse import quote

import numpy as np
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import indexable

from ..borrowed import (
    BaseSearchCV,
    Interval,
    check_method_params,
    fit_context,
    insert_error_scores,
    warn_or_raise_about_fit_failures,
)
from ..engine import OPTIMIZERS
from ..estimators.base import BaseMLP
from ..estimators.tabular_parameters import recipes_in_effect
from .contexts import Contexts
from .defaults import default_space
from .spaces import Space, import_optuna
from .studies import FACTOR, Rounds, Runner, finished, identity_of, open_study, rows_of
from .trials import Evaluation, network_of

__all__ = ["TPESearchCV"]

_STARTUP = 5  # trials that go to the end before the median of them prunes others


@dataclass
class _Growing:
    """Numbers from `first` on, each about a quarter larger than the one before.

    A score takes as long as several epochs of a small network, and says little that the one before has not said.
    """

    first: int

    def __contains__(self, number):
        at = self.first
        while at < number:
            at = max(at + 1, at * 5 // 4)
        return at == number


class TPESearchCV(BaseSearchCV):
    """Search for hyperparameters by cross-validation, with Optuna's tree-structured Parzen estimator.

    The interface is that of scikit-learn's RandomizedSearchCV. Each trial learns from those before it where good
    parameters lie, and ends early where its epochs show that it is worse than others. What is judged is the mean over
    the folds after an epoch: the folds of a trial advance together, each in a thread, and the fit itself, with its
    early stopping and its schedule of the learning rate, is what it is outside of a search.

    Trials of other estimators than `MLPClassifier`, `MLPRegressor`, the models of tables, and pipelines that end in one
    of them, go to the end.

    Parameters
    ----------
    estimator : estimator
        Cloned for each fit. Give it an int as `random_state`, or trials differ by chance as well.
    space : dict or None, default=None
        By the names of `set_params` a distribution of ``optuna.distributions`` or ``scipy.stats``, a list of values, or
        a dict of these for a parameter that is a dict, such as `recipe`. None is `default_space`.
    n_trials : int or None, default=50
        Sets of parameters to try, those that the storage already has included. None: as many as there is time for.
    timeout : float or None, default=None
        Seconds after which no other set of parameters is begun.
    scoring : str, callable, list, tuple or dict, default=None
        One score or several, as in scikit-learn's searches. Of several, the one that `refit` names is searched by, else
        the first.
    n_jobs : int or None, default=None
        Trials at a time, in threads; in a ``joblib.parallel_config`` in processes, or on a Dask cluster, which needs a
        `storage` that all of them see. Trials that run one after another are the same for the same `random_state`;
        in parallel they depend on which ends first.
    refit : bool, str or callable, default=True
        Whether, or by which score, to fit the best on all data; a callable gets `cv_results_` and returns the index.
    cv : int, splitter or iterable, default=None
        As in scikit-learn's searches.
    pruner : {"median", "halving"}, optuna.pruners.BasePruner or None, default="median"
        What ends trials. "median": one whose best score so far is worse than the median of the trials before, from the
        sixth trial on; asked after `min_epochs` epochs, and then each time that their number has grown by about a
        quarter. "halving": all trials are stopped after `min_epochs`, the best third goes on to three times as many,
        and so on up to `max_iter`; each goes on from its checkpoints, and does only one epoch of the round before
        again. For `MLPClassifier` and `MLPRegressor`, whose solver trains by epochs. None: nothing.
    min_epochs : int or None, default=None
        Epochs before a trial may end, with "median" and "halving". None is a ninth of `max_iter` of the estimator, or
        of the epochs of its recipe.
    storage : str, path, optuna.storages.BaseStorage or None, default=None
        Where trials are kept: a file, which becomes an Optuna journal, or the address of a database. A search that was
        killed goes on from there, and comes to the same trials if it runs one after another. None is memory.
    study_name : str, default="fastmlp"
        Name of the study in the storage. One of another search is refused.
    random_state : int, RandomState instance or None, default=None
        Source of the draws.
    verbose : int, default=0
        Whether to print a line for each trial.
    error_score : "raise" or float, default=nan
        Score of a fit that fails.
    return_train_score : bool, default=False
        Whether `cv_results_` has scores of the training rows.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As scikit-learn's searches have it, a row for each set of parameters. Besides: "trial", the number of the trial;
        "pruned", whether it was stopped, so that its test scores are NaN and its rank is the last; "epochs", the last
        epoch that a fold has told of; "last_score", the mean over the folds at this epoch.
    best_estimator_ : estimator
        Fitted to all data with the best parameters, if `refit`.
    best_score_ : float
        Mean score over the folds of the best parameters.
    best_params_ : dict
    best_index_ : int
        Row of `cv_results_`.
    scorer_ : callable or dict
    n_splits_ : int
        Folds.
    refit_time_ : float
        Seconds.
    multimetric_ : bool
        Whether there are several scores.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if `best_estimator_` has them.
    trials_ : list of optuna.trial.FrozenTrial
        All trials that have come to an end; each round of halving is one. ``study.add_trials(search.trials_)`` gives
        them to Optuna's plots.

    See Also
    --------
    default_space : What is searched by default.

    References
    ----------
    .. [1] Bergstra, Bardenet, Bengio, Kegl: Algorithms for Hyper-Parameter Optimization, 2011.
    .. [2] Jamieson, Talwalkar: Non-stochastic Best Arm Identification and Hyperparameter Optimization, 2016.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.tuning import TPESearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> rates = FloatDistribution(1e-3, 1e-1, log=True)
    >>> space = {"hidden_layer_sizes": [(8,), (32,), (32, 32)], "learning_rate_init": rates}
    >>> mlp = MLPClassifier(max_iter=20, early_stopping=True, random_state=0)
    >>> search = TPESearchCV(mlp, space, n_trials=8, cv=3, random_state=0).fit(X, y)
    >>> bool(search.best_score_ > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: part for name, part in BaseSearchCV._parameter_constraints.items() if name != "pre_dispatch"},
        "space": [dict, None],
        "n_trials": [Interval(Integral, 1, None, closed="left"), None],
        "timeout": [Interval(Real, 0, None, closed="neither"), None],
        "pruner": "no_validation",  # classes of Optuna's, which may not be there
        "min_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "storage": "no_validation",
        "study_name": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        space=None,
        *,
        n_trials=50,
        timeout=None,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        pruner="median",
        min_epochs=None,
        storage=None,
        study_name="fastmlp",
        random_state=None,
        verbose=0,
        error_score=np.nan,
        return_train_score=False,
    ):
        self.estimator = estimator
        self.space = space
        self.n_trials = n_trials
        self.timeout = timeout
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.pruner = pruner
        self.min_epochs = min_epochs
        self.storage = storage
        self.study_name = study_name
        self.random_state = random_state
        self.verbose = verbose
        self.error_score = error_score
        self.return_train_score = return_train_score

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Search, and fit the best to all data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, as the estimator takes them, whose rows can be selected.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets.
        **params : dict
            For the estimator's `fit`, the scorer and the splitter, as scikit-learn's searches hand them on:
            `sample_weight`, `groups`, ... Arrays of `n_samples` are divided into folds.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError, TypeError, ImportError
            If a parameter is refused, before any fit; or if no trial came to its end.
        """
        scorers, refit_metric = self._get_scorers()
        space = default_space(self.estimator) if self.space is None else self.space
        space = Space(space, self.estimator.get_params(deep=True))
        network, prefix = network_of(self.estimator)
        self._check(network, prefix)
        pruner, min_epochs = self._checked_pruner(network)
        X, y = indexable(X, y)
        params = check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        storage = open_study(self.storage, self.study_name, identity_of(self, space, X, y, splits))
        contexts = None
        if getattr(self, "_skl_callbacks", None):
            contexts = Contexts(self, X, y, params.get("sample_weight"))
        evaluation = Evaluation(
            clone(self.estimator), X, y, splits, scorers, self.refit if isinstance(self.refit, str) else None,
            routed.estimator.fit, routed.scorer.score, self.error_score, self.return_train_score, contexts,
        )  # fmt: skip
        with self._rounds(network, min_epochs) as rounds:
            runner = Runner(
                evaluation, space, storage, self.study_name, pruner, self._judged(network), rounds, self._seed(),
                effective_n_jobs(self.n_jobs) != 1, self.n_trials,
                time.time() + (math.inf if self.timeout is None else self.timeout), self.verbose,
            )  # fmt: skip
            trials = self._run(runner)
        if contexts is not None:
            contexts.fits_end()
        results = self._results(trials, space, len(splits))
        self.n_splits_, self.trials_ = len(splits), trials
        if callable(self.scoring) and self.multimetric_:
            refit_metric = self.refit
        self._choose(results, refit_metric)
        if self.refit:
            self._fit_best(X, y, routed.estimator.fit, contexts)
        self.scorer_ = getattr(scorers, "_scorers", scorers)  # of several scores the dict
        self.cv_results_ = results
        if contexts is not None:
            contexts.end()
        return self

    # Before any work

    def _check(self, network, prefix):
        """Refuse what no search can be; the network is the estimator that trains by epochs, if there is one."""
        if self.n_trials is None and self.timeout is None:
            raise ValueError("n_trials=None and timeout=None: give one of them, or the search has no end.")
        if getattr(network, "checkpoint_path", None) is not None:
            raise ValueError(f"{prefix}checkpoint_path must be None in a search, whose fits would share the file.")
        backend, _ = get_active_backend(prefer="threads")
        if effective_n_jobs(self.n_jobs) == 1 or getattr(backend, "uses_threads", False):
            return
        elsewhere = f"this process alone, and {type(backend).__name__} runs trials in others"
        if self.storage is None:
            raise ValueError(f"storage=None is seen by {elsewhere}: give the path of a file.")
        if getattr(self, "_skl_callbacks", None):
            raise ValueError(f"Callbacks of a search are told by {elsewhere}: set them on the estimator.")

    def _judged(self, network):
        """The epochs after which the median prunes; None is all."""
        if network is None or self.pruner != "median":
            return None
        return _Growing(self._least_epochs(network))

    def _least_epochs(self, network):
        return self.min_epochs or max(1, -(-_epochs_of(network) // FACTOR**2))

    def _checked_pruner(self, network):
        """Optuna's pruner, or None, and the epochs of the first round of halving, or None."""
        pruners, pruner = import_optuna().pruners, self.pruner
        if pruner not in ("median", "halving"):
            if not (pruner is None or isinstance(pruner, pruners.BasePruner)):
                raise ValueError(f"pruner must be 'median', 'halving', a pruner of Optuna's or None, got {pruner!r}.")
            if self.min_epochs is not None:
                raise ValueError(f"min_epochs={self.min_epochs} has no effect with pruner={pruner!r}.")
            return pruner, None
        if pruner == "halving" and not (isinstance(network, BaseMLP) and network.solver in OPTIMIZERS):
            raise ValueError(
                "pruner='halving' needs an MLPClassifier or MLPRegressor whose solver trains by epochs, alone or as the"
                f" last step of a Pipeline, got {self.estimator!r}."
            )
        if network is None and self.min_epochs is not None:
            raise ValueError(f"min_epochs={self.min_epochs} has no effect: no epochs are told of {self.estimator!r}.")
        if network is None:
            return None, None
        min_epochs = self._least_epochs(network)
        if pruner == "halving":
            return None, min_epochs
        return pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=min_epochs), None

    @contextmanager
    def _rounds(self, network, min_epochs):
        """The rounds of the search, and a folder for what they keep while it goes on."""
        if min_epochs is None:
            yield Rounds()
            return
        if isinstance(self.storage, str | os.PathLike) and "://" not in os.fspath(self.storage):
            # a folder of this study alone, whatever its name: all in it goes when the search is done
            folder = f"{os.path.abspath(self.storage)}.{quote(self.study_name, safe='')}.checkpoints"
            os.makedirs(folder, exist_ok=True)
            yield Rounds.of_halving(min_epochs, network.max_iter, folder)
            shutil.rmtree(folder)
        else:
            with TemporaryDirectory(prefix="fastmlp-halving-") as folder:
                yield Rounds.of_halving(min_epochs, network.max_iter, folder)

    def _seed(self):
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    # The work

    def _run(self, runner):
        """All trials that have come to an end."""
        parallel = partial(Parallel, n_jobs=self.n_jobs, prefer="threads")
        parallel()(delayed(runner.begin)(draw) for draw in runner.draws())
        for number in range(1, len(runner.rounds.epochs)):
            to_do = runner.rounds.to_do(finished(runner.study()), number)
            parallel()(delayed(runner.go_on)(trial, number) for trial in to_do)
        return finished(runner.study())

    def _results(self, trials, space, n_splits):
        """`cv_results_`; sets `multimetric_`."""
        candidates, out, more = rows_of(trials, space, n_splits)
        if not candidates:
            raise ValueError(f"None of {len(trials)} trials came to its end.")
        pruned = np.repeat(more["pruned"], n_splits)
        complete = [result for result, stopped in zip(out, pruned, strict=True) if not stopped]
        warn_or_raise_about_fit_failures(complete, self.error_score)
        if callable(self.scoring):
            insert_error_scores(out, self.error_score)
        self.multimetric_ = isinstance(out[0]["test_scores"], dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(out[0]["test_scores"])
        with warnings.catch_warnings():
            if pruned.any():  # whose scores are no accident
                warnings.filterwarnings("ignore", "One or more of the .* scores are non-finite", UserWarning)
            return self._format_results(candidates, n_splits, out, more)

    def _choose(self, results, refit_metric):
        if not self.refit and self.multimetric_:
            return
        self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _fit_best(self, X, y, fit_params, contexts):
        self.best_estimator_ = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        began = time.perf_counter()
        with nullcontext() if contexts is None else contexts.last_fit(self.best_estimator_):
            self.best_estimator_.fit(*((X,) if y is None else (X, y)), **fit_params)
        self.refit_time_ = time.perf_counter() - began
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


def _epochs_of(network):
    """Epochs of a fit; of a model of tables those of its first recipe."""
    if network.max_iter is not None:
        return network.max_iter
    return recipes_in_effect(network._own_recipes(), network.recipe, None, True)[0].epochs
