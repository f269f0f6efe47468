"""Members of an ensemble: the rows that each trains on, how they train side by side, and their weights in the average.

Members share nothing but the data. Whole ones are handed to workers, so none waits for another, and what a member
becomes depends on its number and the seed alone.
"""

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from sklearn import config_context, get_config
from sklearn.model_selection import KFold, StratifiedKFold

from .recipes import Recipe

__all__ = [
    "Member",
    "Result",
    "folds",
    "greedy_weights",
    "integer_seed",
    "n_folds_of",
    "train_members",
    "weighted_average",
]

_MOST_FOLDS = 9  # of one recipe; more members are divided among several
_FOLDS = 5  # of each of several
_TRAINED = 0.75  # share of its epochs after which a member that was cut short counts as trained
_SHORTEST = 0.25  # least share of the epochs for which another member begins before the time is over
_RESERVE = 0.95  # share of the time left that is planned with
_STEPS = 40  # of the choice of weights
_LOOK = 0.2  # seconds between two looks for Ctrl-C: on Windows it does not end a wait


@dataclass
class Member:
    """A trained network of an ensemble.

    Attributes
    ----------
    recipe : Recipe
        That it was built and trained by.
    parameters : list of ndarray of float32
        In the order of `Network.parameters`, as they were after the best epoch.
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_scores_ : list of float
        Score of the held-out rows after each epoch; greater is better.
    best_epoch_ : int
        The epoch of the parameters, from 1; of equal scores the latest.
    weight_ : float
        Share in the average of the members' outputs.
    """

    recipe: Recipe
    parameters: list = field(repr=False)
    loss_curve_: list = field(repr=False)
    validation_scores_: list = field(repr=False)
    best_epoch_: int
    weight_: float = 1.0

    @classmethod
    def of(cls, trained, recipe):
        """A copy of what `train_member` gives."""
        arrays = [array.copy() for _, array, _ in trained.network.parameters]
        return cls(recipe, arrays, list(trained.losses), list(trained.scores), trained.best_epoch)


class Result(NamedTuple):
    """A member, the numbers of the rows that it held out, and its outputs for them, float32 of (n, n_outputs)."""

    member: Member
    held_out: np.ndarray
    outputs: np.ndarray


def integer_seed(*numbers):
    """A seed for scikit-learn's splitters that is drawn from some integers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def n_folds_of(n_members):
    """The number of folds for a number of members: up to nine members have a fold each, more of them share five."""
    return n_members if n_members <= _MOST_FOLDS else _FOLDS


def folds(n_rows, n_folds, seed, classes=None):
    """The rows of each member: all but a fold, and that fold.

    Parameters
    ----------
    n_rows : int
        At least 2.
    n_folds : int
        At least 2; there are at most as many folds as rows.
    seed : int
    classes : ndarray of int of shape (n_rows,) or None, default=None
        Codes of classes whose shares each fold keeps. The rows of a class with fewer of them than there are folds are
        divided together with the smallest of the others.

    Returns
    -------
    rows_of : callable
        (repeat, fold), from 0 -> rows, held_out, both ndarray of intp. Each repeat has a division of its own.
    """
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

    def rows_of(repeat, fold):
        return division(repeat)[fold % n_folds]

    return rows_of


def train_members(
    train, recipe_of, n_members, *, n_workers, work=None, deadline=None, listener=None, taken=None, keep=None
):
    """Train members on threads, each by one of them.

    Ctrl-C, in the main thread or raised by the listener, ends the members that are in training after their epoch, and
    no other begins; a second one is raised. So is the first error of a member.

    Parameters
    ----------
    train : callable
        (number, recipe, progress) -> result: trains a member. It calls progress.epoch_begins, part_ends and epoch_ends
        as `train_member` does, and ends where the last returns true.
    recipe_of : callable
        Number of a member, from 0 -> Recipe.
    n_members : int
        With a deadline the most of them.
    n_workers : int
        Threads.
    work : callable, default=None
        Recipe -> what an epoch costs, in any unit. It is needed with a deadline.
    deadline : float, default=None
        Time, by `time.monotonic`, at which all ends. Members then begin as long as there is time for a quarter of their
        recipe's epochs, and those that find no time for all of them have fewer, on the same schedule. A member has one
        epoch at least; it ends where another would take longer than what is left.
    listener : object, default=None
        Its methods are called by one thread at a time: member_begins(number, recipe), epoch_begins(number, n_parts),
        part_ends(number, recipe, *told), epoch_ends(number, recipe, trained) -> whether this member ends there, and
        member_ends(number, result) -> whether no other begins.
    taken : dict of int to object, default={}
        Results of members that were trained by an earlier call.
    keep : callable, default=None
        Called, by one thread at a time, after each member that was trained to its end: with the results of all of
        these by number, the taken ones included.

    Returns
    -------
    results : dict of int to object
        By number, ascending: those of the members that were taken, that have done three quarters of their epochs, or
        ended by themselves; if there are none, all.
    interrupted : bool
    """
    run = _Run(train, recipe_of, n_members, work, deadline, listener, taken or {}, keep)
    n_workers = min(n_workers, len(run.left))
    pool = ThreadPoolExecutor(max(1, n_workers), thread_name_prefix="fastmlp-member")
    try:
        try:
            workers = [pool.submit(run.work) for _ in range(n_workers)]
            while wait(workers, timeout=_LOOK).not_done:
                pass
        except KeyboardInterrupt:
            run.interrupt()
            run.wait()  # and not for the pool: it knows nothing of a thread that it was just starting
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

    def __init__(self, train, recipe_of, n_members, work, deadline, listener, taken, keep):
        self.train, self.recipe_of = train, recipe_of
        self.pace = None if deadline is None else _Pace(work, deadline)
        self.listener, self.keep = listener, keep
        self.config = get_config()  # scikit-learn has one for each thread
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.member_ends = threading.Condition(self.lock)
        self.interrupted = False
        self.left = [number for number in range(n_members) if number not in taken]
        self.whole = dict(taken)  # number -> result of a member that was trained to its end
        self.n_begun = self.n_ended = len(taken)
        self.results = {number: (result, True) for number, result in taken.items()}  # and whether it is trained
        self.errors = []

    def interrupt(self):
        self.interrupted = True
        self.stop.set()

    def wait(self):
        """Wait until all members that have begun have ended."""
        with self.member_ends:
            while self.n_ended < self.n_begun:
                self.member_ends.wait(_LOOK)

    def tell(self, what, *args):
        """Call a method of the listener; gives what it returns."""
        if self.listener is None:
            return None
        try:
            with self.lock:
                return getattr(self.listener, what)(*args)
        except KeyboardInterrupt:
            self.interrupt()

    def work(self):
        """Train one member after another."""
        try:
            with config_context(**self.config):
                while (begun := self._begin()) is not None:
                    try:
                        self._train(*begun)
                    finally:
                        with self.member_ends:
                            self.n_ended += 1
                            self.member_ends.notify_all()
        except BaseException as error:
            self.errors.append(error)
            self.stop.set()

    def _begin(self):
        """The number and the recipe of the next member; None if there is none."""
        with self.lock:
            if self.stop.is_set() or not self.left:
                return None
            recipe = whole = self.recipe_of(self.left[0])
            if self.pace is not None:
                recipe = self.pace.within_time(whole)
                if self.n_begun and recipe.epochs < _SHORTEST * whole.epochs:
                    return None
            self.n_begun += 1
            return self.left.pop(0), recipe

    def _train(self, number, recipe):
        self.tell("member_begins", number, recipe)
        while True:
            progress = _Progress(self, number, recipe)
            result = self.train(number, recipe, progress)
            if not progress.too_slow:
                break
            # so that the epochs are no more in all than the listener was told
            recipe = self.pace.within_time(replace(recipe, epochs=recipe.epochs - progress.n_epochs))
        if self.pace is not None:
            self.pace.note(recipe, progress.n_epochs, time.monotonic() - progress.began)
        cut = progress.cut and progress.n_epochs < _TRAINED * recipe.epochs
        with self.lock:
            self.results[number] = result, not cut
            if not progress.cut or progress.n_epochs == recipe.epochs:
                self.whole[number] = result
                if self.keep is not None:
                    self.keep(self.whole)
        if self.tell("member_ends", number, result):
            with self.lock:
                self.left.clear()


class _Pace:
    """How long epochs take, and what there is time for.

    Parameters
    ----------
    work : callable
        Recipe -> what an epoch costs, in any unit.
    deadline : float
        By `time.monotonic`.
    """

    def __init__(self, work, deadline):
        self.work, self.deadline = work, deadline
        self.unit = None  # seconds for a unit of work; 0 where the clock has not moved
        self.own = {}  # those of the recipes that have been timed, without their epochs

    def note(self, recipe, n_epochs, seconds):
        """Take down what epochs of a recipe took."""
        self.unit = self.own[replace(recipe, epochs=1)] = seconds / max(n_epochs, 1) / self.work(recipe)

    def epochs(self, recipe):
        """How many epochs of a recipe there is time for; None if nothing is known, or no end is in sight."""
        seconds = self.own.get(replace(recipe, epochs=1), self.unit)
        if not seconds:
            return None
        return int(_RESERVE * (self.deadline - time.monotonic()) / (seconds * self.work(recipe)))

    def within_time(self, recipe):
        """The recipe with as many of its epochs as there is time for."""
        possible = self.epochs(recipe)
        return recipe if possible is None else replace(recipe, epochs=max(1, min(recipe.epochs, possible)))


class _Progress:
    """A member in training."""

    def __init__(self, run, number, recipe):
        self.run, self.number, self.recipe = run, number, recipe
        self.began = time.monotonic()
        self.n_epochs = 0
        self.cut = self.too_slow = False
        self.judges = run.pace is not None and run.pace.unit is None  # whether there may be too many epochs

    def epoch_begins(self, n_parts):
        self.run.tell("epoch_begins", self.number, n_parts)

    def part_ends(self, *told):
        self.run.tell("part_ends", self.number, self.recipe, *told)

    def epoch_ends(self, trained):
        """Whether the member ends here."""
        run = self.run
        self.n_epochs = len(trained.losses)
        ends = run.tell("epoch_ends", self.number, self.recipe, trained)
        self.cut = run.stop.is_set()
        if (pace := run.pace) is not None:
            now = time.monotonic()
            left = pace.deadline - now
            self.cut |= left <= 0 or (now - self.began) / self.n_epochs > left  # another epoch would end too late
            if self.judges and self.n_epochs == 2:  # the first has more to do
                pace.note(self.recipe, 2, now - self.began)
                possible = pace.epochs(self.recipe)
                # to begin anew is worth it where more epochs follow than are lost
                self.too_slow = not self.cut and possible is not None and 2 < possible < self.recipe.epochs - 2
        return bool(ends) or self.cut or self.too_slow


def greedy_weights(outputs, score, n_steps=_STEPS):
    """Weights of models in an average, by ensemble selection with replacement.

    The model whose addition makes the average best is added again and again, the first of equal ones. The weights are
    the shares of the models when the score was best, at first of equal ones.

    Parameters
    ----------
    outputs : list of ndarray of shape (n, n_outputs)
        Of each model, for the same rows. A row of NaN is not known: there the average stays what it is.
    score : callable
        Finite outputs of float32 of shape (n, n_outputs) -> float; greater is better. Others have -inf.
    n_steps : int, default=40

    Returns
    -------
    weights : ndarray of float64 of shape (n_models,)
        They add up to 1.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew, Ksikes: Ensemble Selection from Libraries of Models, 2004.
    """
    known = [~np.isnan(one).any(axis=1, keepdims=True) for one in outputs]
    outputs = [np.where(there, one, np.float32(0)) for one, there in zip(outputs, known, strict=True)]
    average = sum(outputs) / np.maximum(sum(known), 1, dtype=np.float32)  # where nothing has been added yet
    total, count = np.zeros_like(outputs[0]), np.zeros_like(known[0], dtype=np.float32)
    added, scores = [], []
    for _ in range(n_steps):
        candidates = []
        for one, there in zip(outputs, known, strict=True):
            n = count + there
            candidate = np.where(n > 0, (total + one) / np.maximum(n, 1), average)
            candidates.append(score(candidate) if np.isfinite(candidate).all() else -math.inf)
        added.append(int(np.argmax(candidates)))
        scores.append(candidates[added[-1]])
        total += outputs[added[-1]]
        count += known[added[-1]]
    best = int(np.argmax(scores)) + 1
    return np.bincount(added[:best], minlength=len(outputs)) / best


def weighted_average(outputs, weights):
    """The average of the models' outputs that are known, float32 of shape (n, n_outputs).

    Parameters
    ----------
    outputs : list of ndarray of shape (n, n_outputs)
        As `greedy_weights` takes them; each row is known of one model at least.
    weights : array-like of shape (n_models,)
        Where no model of weight is known, the others are averaged.
    """
    known = [~np.isnan(one).any(axis=1, keepdims=True) for one in outputs]
    shares = np.array(known, dtype=np.float32) * np.float32(weights)[:, None, None]
    shares = np.where(shares.any(axis=0), shares, known)
    total = np.zeros_like(outputs[0])
    for one, there, share in zip(outputs, known, shares, strict=True):
        total += np.where(there, one, np.float32(0)) * share
    return total / shares.sum(axis=0)
