"""Members of an ensemble: the rows that each trains on, and how they train side by side.

Members share nothing but the data. Whole ones are handed to workers, so none waits for another, and what a member
becomes depends on its number and the seed alone.
"""

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from sklearn import config_context, get_config
from sklearn.model_selection import KFold, StratifiedKFold

__all__ = ["Member", "folds", "integer_seed", "train_members"]

_MOST_FOLDS = 10
_TRAINED = 0.75  # share of its epochs after which a member that was cut short counts as trained
_SHORTEST = 0.25  # least share of the epochs for which another member begins before the time is over
_RESERVE = 0.95  # share of the time left that is planned with
_LOOK = 0.2  # seconds between two looks for Ctrl-C: on Windows it does not end a wait


@dataclass
class Member:
    """A trained network of an ensemble.

    Attributes
    ----------
    parameters : list of ndarray of float32
        In the order of `Network.parameters`, as they were after the best epoch.
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_scores_ : list of float
        Score of the held-out rows after each epoch; greater is better.
    best_epoch_ : int
        The epoch of the parameters, from 1; of equal scores the latest.
    """

    parameters: list = field(repr=False)
    loss_curve_: list = field(repr=False)
    validation_scores_: list = field(repr=False)
    best_epoch_: int

    @classmethod
    def of(cls, trained):
        """A copy of what `train_member` gives."""
        arrays = [array.copy() for _, array, _ in trained.network.parameters]
        return cls(arrays, list(trained.losses), list(trained.scores), trained.best_epoch)


def integer_seed(*numbers):
    """A seed for scikit-learn's splitters that is drawn from some integers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def folds(n_rows, n_members, seed, classes=None):
    """The rows of each member: all but a fold, and that fold.

    Up to ten members share one division into as many folds; more of them repeat it with other divisions.

    Parameters
    ----------
    n_rows : int
        At least 2.
    n_members : int
        At least 2.
    seed : int
    classes : ndarray of int of shape (n_rows,) or None, default=None
        Codes of classes whose shares each fold keeps. The rows of a class with fewer of them than there are folds are
        divided together with the smallest of the others.

    Returns
    -------
    rows_of : callable
        Number of a member, from 0 -> rows, held_out, both ndarray of intp.
    """
    n_folds = math.ceil(n_members / math.ceil(n_members / _MOST_FOLDS))
    n_folds = min(n_folds, n_rows)
    kind = KFold
    if classes is not None:
        counts = np.bincount(classes)
        large = np.flatnonzero(counts >= n_folds)
        if len(large):
            kind = StratifiedKFold
            classes = np.where(counts[classes] >= n_folds, classes, large[counts[large].argmin()])

    @cache
    def division(repeat):
        splitter = kind(n_folds, shuffle=True, random_state=integer_seed(seed, repeat))
        return list(splitter.split(np.zeros(n_rows), classes))

    def rows_of(number):
        return division(number // n_folds)[number % n_folds]

    return rows_of


def train_members(train, n_members, recipe, *, n_workers, deadline=None, epoch_ends=None):
    """Train members on threads, each by one of them.

    Ctrl-C, in the main thread or raised by `epoch_ends`, ends the members that are in training after their epoch, and
    no other begins; a second one is raised. So is the first error of a member.

    Parameters
    ----------
    train : callable
        (number, recipe, epoch_ends) -> result: trains a member. It calls its epoch_ends with a `Trained` after each
        epoch and ends where that returns true.
    n_members : int
        With a deadline the most of them.
    recipe : Recipe
    n_workers : int
        Threads.
    deadline : float, default=None
        Time, by `time.monotonic`, at which all ends. Members then begin as long as there is time for a quarter of the
        recipe's epochs, and those that find no time for all of them have fewer, on the same schedule.
    epoch_ends : callable, default=None
        (number, recipe, trained) -> whether this member ends there. Called by one thread at a time.

    Returns
    -------
    results : dict of int to object
        By number, ascending: those of the members that have done three quarters of their epochs or ended by themselves;
        if there are none, all.
    interrupted : bool
    """
    run = _Run(train, n_members, recipe, deadline, epoch_ends)
    n_workers = min(n_workers, n_members)
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="fastmlp-member")
    try:
        try:
            workers = [pool.submit(run.work) for _ in range(n_workers)]
            while wait(workers, timeout=_LOOK).not_done:
                pass
        except KeyboardInterrupt:
            run.interrupt()
            pool.shutdown()
    finally:
        run.stop.set()
        pool.shutdown(wait=False)
    if run.errors:
        raise run.errors[0]
    if not run.results:
        raise KeyboardInterrupt  # before a member had begun
    results = {number: result for number, (result, trained) in sorted(run.results.items()) if trained}
    return results or {number: result for number, (result, _) in sorted(run.results.items())}, run.interrupted


class _Run:
    """What the workers share."""

    def __init__(self, train, n_members, recipe, deadline, epoch_ends):
        self.train, self.n_members, self.recipe = train, n_members, recipe
        self.deadline, self.epoch_ends = deadline, epoch_ends
        self.config = get_config()  # scikit-learn has one for each thread
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.interrupted = False
        self.n_begun = 0
        self.pace = None  # seconds of an epoch; 0 where the clock has not moved
        self.results = {}  # number -> result, whether the member is trained
        self.errors = []

    def interrupt(self):
        self.interrupted = True
        self.stop.set()

    def work(self):
        """Train one member after another."""
        try:
            with config_context(**self.config):
                while (begun := self._begin()) is not None:
                    self._train(*begun)
        except BaseException as error:
            self.errors.append(error)
            self.stop.set()

    def _begin(self):
        """The number and the recipe of the next member; None if there is none."""
        with self.lock:
            if self.stop.is_set() or self.n_begun == self.n_members:
                return None
            recipe = self._within_time()
            if self.n_begun and recipe.epochs < _SHORTEST * self.recipe.epochs:
                return None
            self.n_begun += 1
            return self.n_begun - 1, recipe

    def _within_time(self):
        """The recipe with as many of its epochs as there is time for."""
        if self.deadline is None or not self.pace:
            return self.recipe
        possible = int(_RESERVE * (self.deadline - time.monotonic()) / self.pace)
        return replace(self.recipe, epochs=max(1, min(self.recipe.epochs, possible)))

    def _train(self, number, recipe):
        while True:
            progress = _Progress(self, number, recipe)
            result = self.train(number, recipe, progress.epoch_ends)
            if not progress.too_slow:
                break
            recipe = self._within_time()
        if self.deadline is not None:
            self.pace = (time.monotonic() - progress.began) / max(progress.n_epochs, 1)
        cut = progress.cut and progress.n_epochs < _TRAINED * recipe.epochs
        with self.lock:
            self.results[number] = result, not cut


class _Progress:
    """A member in training."""

    def __init__(self, run, number, recipe):
        self.run, self.number, self.recipe = run, number, recipe
        self.began = time.monotonic()
        self.n_epochs = 0
        self.cut = self.too_slow = False
        self.judges = run.deadline is not None and run.pace is None  # whether there may be too many epochs

    def epoch_ends(self, trained):
        """Whether the member ends here."""
        run = self.run
        self.n_epochs = len(trained.losses)
        ends = False
        if run.epoch_ends is not None:
            try:
                with run.lock:
                    ends = run.epoch_ends(self.number, self.recipe, trained)
            except KeyboardInterrupt:
                run.interrupt()
        self.cut = run.stop.is_set()
        if run.deadline is not None:
            now = time.monotonic()
            self.cut |= now >= run.deadline
            if self.judges and self.n_epochs == 2:  # the first has more to do
                run.pace = (now - self.began) / 2
                self.too_slow = not self.cut and self.recipe.epochs * run.pace > run.deadline - self.began
        return ends or self.cut or self.too_slow
