"""The trials of a search in a study of Optuna's: begun, gone on with, and read back."""

import math
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..training.identity import data_description
from .spaces import Space, import_optuna
from .trials import Evaluation

__all__ = ["FACTOR", "Rounds", "Runner", "finished", "identity_of", "open_study", "rows_of", "study_at"]

FACTOR = 3  # by which a round of halving has fewer trials and more epochs than the one before
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_IDENTITY = "fastmlp"  # user attributes of the study and of its trials
_DRAW, _KEY, _ROUND, _FOLDS, _EPOCHS, _SECONDS = (
    f"fastmlp {name}" for name in ("draw", "trial", "round", "folds", "epochs", "seconds")
)


def open_study(storage, name, identity):
    """A storage that has the study of a search.

    Parameters
    ----------
    storage : str, path, optuna.storages.BaseStorage or None
        A file, which becomes a journal; the address of a database; or None for memory.
    name : str
        Of the study, which is made if it is not there.
    identity : dict of str to str
        What the searches of one study have in common.

    Returns
    -------
    storage : optuna.storages.BaseStorage

    Raises
    ------
    ValueError
        If the study is there and of another search.
    """
    optuna = import_optuna()
    if isinstance(storage, str | os.PathLike) and "://" not in os.fspath(storage):
        journal, path = optuna.storages.journal, os.path.abspath(storage)
        backend = journal.JournalFileBackend(path, lock_obj=_LineLock(journal, path))
        storage = optuna.storages.JournalStorage(backend)
    storage = optuna.storages.get_storage(storage)
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    before = study.user_attrs.get(_IDENTITY)
    if before is None:
        study.set_user_attr(_IDENTITY, identity)
    elif differing := [key for key in identity if before.get(key) != identity[key]]:
        raise ValueError(
            f"The study {name!r} in the storage is of another search, with another {', '.join(differing)}."
            " Give study_name another name."
        )
    return storage


class _LineLock:
    """A lock on a journal for a writer, which begins on a line of its own.

    A writer that was killed, or that met a full disk, may have left a part of a line. Nothing behind it could be read.
    """

    def __init__(self, journal, path):
        # symbolic links need rights on Windows
        kind = journal.JournalFileOpenLock if os.name == "nt" else journal.JournalFileSymlinkLock
        self.lock, self.path = kind(path), path

    def acquire(self):
        taken = self.lock.acquire()
        with open(self.path, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            if file.read() not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return taken

    def release(self):
        self.lock.release()


def study_at(storage, name, seed, draw, *, sampler="tpe", parallel=False, pruner=None):
    """The study of a storage, with a sampler for one draw.

    Parameters
    ----------
    storage : optuna.storages.BaseStorage
    name : str
    seed, draw : int
        What the sampler depends on, besides the trials before.
    sampler : {"tpe", "random"}, default="tpe"
        "random" does not depend on the trials before.
    parallel : bool, default=False
        Whether other trials run beside.
    pruner : optuna.pruners.BasePruner or None, default=None

    Returns
    -------
    study : optuna.Study
    """
    optuna = import_optuna()
    seed = int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
    if sampler == "tpe":
        made = optuna.samplers.TPESampler(seed=seed, constant_liar=parallel)
    else:
        made = optuna.samplers.RandomSampler(seed=seed)
    return optuna.load_study(study_name=name, storage=storage, sampler=made, pruner=pruner)


def identity_of(search, space, X, y, splits):
    """What a search that goes on must have in common with the one before, by name.

    Of data that are no array or matrix, the columns and the targets count and not the values.
    """
    distributions = import_optuna().distributions
    described = {name: distributions.distribution_to_json(part) for name, part in space.distributions.items()}
    if isinstance(X, np.ndarray) or issparse(X):
        about_X = data_description(X.tocsr() if issparse(X) else X)
    else:
        about_X = repr([str(name) for name in getattr(X, "columns", ())])
    rows = np.concatenate([part for split in splits for part in split])
    return {
        "estimator": _text(search.estimator.__repr__(N_CHAR_MAX=math.inf)),
        "space": repr(sorted(described.items())),
        "scoring": _text(repr(search.scoring)),
        "pruner": _text(repr((search.pruner, search.min_epochs))),
        "X": about_X,
        "y": data_description(None if y is None else np.asarray(y)),
        "cv": data_description(rows),
    }


def _text(text):
    return _ADDRESS.sub("", text)


@dataclass
class Rounds:
    """The epochs after which trials are stopped, and which of them go on.

    Attributes
    ----------
    epochs : list of int or None
        Of each round; None is as many as the fit has. A search without halving has one round.
    folder : str or None
        Where fits that are stopped keep their state.
    """

    epochs: list = field(default_factory=lambda: [None])
    folder: str | None = None

    @classmethod
    def of_halving(cls, first, max_iter, folder):
        epochs = [first]
        while epochs[-1] * FACTOR < max_iter:
            epochs.append(epochs[-1] * FACTOR)
        return cls([epoch for epoch in epochs if epoch < max_iter] + [None], folder)

    def files(self, trial, n_folds):
        """The checkpoints of a trial by its number in the first round."""
        return None if self.folder is None else [os.path.join(self.folder, f"{trial}-{i}") for i in range(n_folds)]

    def to_do(self, trials, number):
        """The trials that are to go on in round `number`; checkpoints of those that never will are removed."""
        standing = {}  # number in the first round -> trials by round
        for trial in trials:
            standing.setdefault(trial.user_attrs[_KEY], {})[trial.user_attrs[_ROUND]] = trial

        def latest(key, most):
            return standing[key][max(done for done in standing[key] if done <= most)]

        left = [*standing]
        for before in range(number):
            at = {key: latest(key, before) for key in left}
            ranked = [key for key in sorted(left, key=lambda key: (-_score(at[key]), key)) if _is_finite(at[key])]
            left = ranked[: -(-len(left) // FACTOR)]
        for name in os.listdir(self.folder):
            key = name.partition("-")[0]
            if key.isdecimal() and int(key) not in left:  # others are what a killed write has left
                os.unlink(os.path.join(self.folder, name))
        going = [latest(key, number) for key in left]
        return [trial for trial in going if not _is_complete(trial) and trial.user_attrs[_ROUND] < number]


def _score(trial):
    return trial.value if _is_finite(trial) else -math.inf


def _is_finite(trial):
    return trial.value is not None and math.isfinite(trial.value)


def _is_complete(trial):
    return trial.user_attrs[_FOLDS] is not None


def finished(study):
    """The trials that have come to an end, those of each round of halving, in order."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and _ROUND in trial.user_attrs]


@dataclass
class Runner:
    """Runs trials; other processes get a copy.

    Attributes
    ----------
    evaluation : Evaluation
    space : Space
    storage : optuna.storages.BaseStorage
    name : str
        Of the study.
    pruner : optuna.pruners.BasePruner or None
    judged : container of int or None
        The epochs after which the pruner is asked; None is each.
    rounds : Rounds
    seed : int
    parallel : bool
        Whether other trials run beside.
    n_trials : int or None
    deadline : float
        By `time.time`, which processes share.
    verbose : int
    """

    evaluation: Evaluation
    space: Space
    storage: Any
    name: str
    pruner: Any
    judged: Any
    rounds: Rounds
    seed: int
    parallel: bool
    n_trials: int | None
    deadline: float
    verbose: int

    def study(self, draw=0):
        """The study, with a sampler whose draws depend on the seed, the number of the draw and the trials before."""
        return study_at(self.storage, self.name, self.seed, draw, parallel=self.parallel, pruner=self.pruner)

    def draws(self):
        """Numbers of the draws that are still to be made, in order; without end if there is no limit on them."""
        begun = [trial for trial in finished(self.study()) if trial.user_attrs[_ROUND] == 0]
        done = {trial.user_attrs[_DRAW] for trial in begun}
        draw, left = 0, math.inf if self.n_trials is None else self.n_trials - len(begun)
        while left > 0 and time.time() < self.deadline:
            if draw not in done:
                left -= 1
                yield draw
            draw += 1

    def begin(self, draw):
        """Run a trial that Optuna draws, unless the time is over or another process has done the last."""
        study = self.study(draw)
        n_done = sum(trial.user_attrs[_ROUND] == 0 for trial in finished(study))
        if time.time() >= self.deadline or self.n_trials is not None and n_done >= self.n_trials:
            return
        states = import_optuna().trial.TrialState
        trial = study.ask(self.space.distributions)

        def report(epoch, score):
            trial.report(score, epoch)
            return trial.should_prune()

        try:
            outcome, seconds = self._evaluate(trial.number, trial.params, 0, None if self.pruner is None else report)
        except BaseException:
            study.tell(trial, state=states.FAIL)
            raise
        for key, value in self._notes(draw, trial.number, 0, outcome, seconds).items():
            trial.set_user_attr(key, value)
        if not math.isfinite(outcome.score):
            study.tell(trial, state=states.FAIL)
        elif outcome.folds is not None:
            study.tell(trial, outcome.score)
        else:
            if self.rounds.epochs[0] is not None:
                trial.report(outcome.score, outcome.epoch)
            study.tell(trial, state=states.PRUNED)

    def go_on(self, before, number):
        """Run a trial of the round before from where it was stopped, which is another trial for Optuna."""
        optuna = import_optuna()
        states, attrs = optuna.trial.TrialState, before.user_attrs
        outcome, seconds = self._evaluate(attrs[_KEY], before.params, number, None)
        finite = math.isfinite(outcome.score)
        told = {**before.intermediate_values, **({outcome.epoch: outcome.score} if finite else {})}
        complete = states.COMPLETE if outcome.folds is not None else states.PRUNED
        self.study().add_trial(
            optuna.trial.create_trial(
                state=complete if finite else states.FAIL,
                value=outcome.score if finite else None,
                params=before.params,
                distributions=before.distributions,
                user_attrs=self._notes(attrs[_DRAW], attrs[_KEY], number, outcome, seconds + attrs[_SECONDS]),
                intermediate_values=told,
            )
        )

    def _evaluate(self, key, drawn, number, report):
        params, began = self.space.params(drawn), time.perf_counter()
        files = self.rounds.files(key, len(self.evaluation.splits))
        outcome = self.evaluation(params, report, self.judged, self.rounds.epochs[number], files)
        seconds = time.perf_counter() - began
        if self.verbose:
            what = f"stopped after epoch {outcome.epoch}" if outcome.folds is None else "done"
            print(f"Trial {key}, {what}: score = {outcome.score:.6g}, {seconds:.1f} s, {params}")
        return outcome, seconds

    @staticmethod
    def _notes(draw, key, number, outcome, seconds):
        values = draw, key, number, outcome.folds, outcome.epoch, seconds
        return dict(zip((_DRAW, _KEY, _ROUND, _FOLDS, _EPOCHS, _SECONDS), values, strict=True))


def rows_of(trials, space, n_folds):
    """What `BaseSearchCV._format_results` takes: a row for each set of parameters, as it was when last trained.

    Parameters
    ----------
    trials : list of optuna.trial.FrozenTrial
        Those that are `finished`.
    space : Space
    n_folds : int

    Returns
    -------
    params : list of dict
    out : list of dict
        Of each row and fold; scores of trials that were stopped are NaN.
    more : dict of str to list
        Further columns.
    """
    latest = {trial.user_attrs[_KEY]: trial for trial in sorted(trials, key=lambda trial: trial.user_attrs[_ROUND])}
    latest = dict(sorted(latest.items()))
    example = next((trial.user_attrs[_FOLDS][0] for trial in latest.values() if _is_complete(trial)), None)
    if example is None:
        return [], [], {}
    out = []
    for trial in latest.values():
        folds = trial.user_attrs[_FOLDS]
        if folds is None:
            stopped = {key: _unknown(value) if key.endswith("scores") else value for key, value in example.items()}
            stopped |= {"fit_time": trial.user_attrs[_SECONDS], "score_time": 0.0, "fit_error": None}
            folds = [stopped] * n_folds
        out += map(dict, folds)
    more = {
        "trial": [*latest],
        "pruned": [not _is_complete(trial) for trial in latest.values()],
        "epochs": [trial.user_attrs[_EPOCHS] for trial in latest.values()],
        "last_score": [trial.value if _is_finite(trial) else math.nan for trial in latest.values()],
    }
    return [space.params(trial.params) for trial in latest.values()], out, more


def _unknown(scores):
    return dict.fromkeys(scores, math.nan) if isinstance(scores, dict) else math.nan
