"""Rows that are not trained on: where they come from, and how the network does on them after an epoch."""

import math
import warnings
from copy import copy
from inspect import signature
from numbers import Real

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from ..training.arrays import is_finite
from ..training.scores import R2

__all__ = ["Validation", "hold_out", "strata"]


def strata(y, fraction):
    """Parts of the rows whose shares a split can keep, by class or by combination of the classes of several outputs.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_outputs)
        Codes of classes.
    fraction : float
        Share of the rows to hold out.

    Returns
    -------
    parts : ndarray of shape (n,)
        From 0, in the order of the classes; each has at least two of the rows that can be held out, and there are no
        more parts than rows on either side. -1 is a row that alone has its class, which only training can learn from.
    """
    columns = y if y.ndim == 2 else y[:, None]
    alone = np.zeros(len(y), dtype=bool)
    for column in columns.T:
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        alone |= counts[inverse] == 1
    n_held_out = math.ceil(fraction * len(y))
    n_trained_on = np.count_nonzero(~alone) - n_held_out
    if n_trained_on <= 0:  # the classes are too rare for a split that keeps any
        return np.zeros(len(y), dtype=np.intp)
    _, inverse, counts = np.unique(columns[~alone], axis=0, return_inverse=True, return_counts=True)
    descending = np.argsort(-counts, kind="stable")
    n_parts = min(n_held_out, n_trained_on, np.count_nonzero(counts > 1) + 1, len(counts))
    if n_parts > 1 and counts[descending[n_parts - 1 :]].sum() == 1:
        n_parts -= 1
    part_of = np.arange(len(counts))
    if n_parts < len(counts):
        part_of[descending] = np.minimum(part_of, n_parts - 1)  # the smallest become one
    parts = np.full(len(y), -1, dtype=np.intp)
    parts[~alone] = part_of[inverse.ravel()]
    return parts


def hold_out(n_rows, fraction, stratify, random_state):
    """Split row numbers at random, as scikit-learn's estimator does.

    Parameters
    ----------
    n_rows : int
    fraction : float
        Share of the rows to hold out.
    stratify : ndarray of shape (n_rows,) or None
        Classes whose shares to keep; rows of class -1 are not held out.
    random_state : RandomState

    Returns
    -------
    rows, held_out : ndarray of intp

    Raises
    ------
    ValueError
        If fewer than two rows are held out.
    """
    numbers, always = np.arange(n_rows, dtype=np.intp), None
    if stratify is not None and (stratify == -1).any():
        numbers, always = numbers[stratify != -1], numbers[stratify == -1]
        fraction, stratify = math.ceil(fraction * n_rows), stratify[numbers]
    rows, held_out = train_test_split(numbers, random_state=random_state, test_size=fraction, stratify=stratify)
    if always is not None:
        rows = np.concatenate([rows, always])
    if len(held_out) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return rows, held_out


class Validation:
    """What is asked of a network after each epoch.

    Parameters
    ----------
    network : Network
    data : Data
        The validation rows, or all rows.
    rows : ndarray of intp or None
        Which of `data` are the validation rows; None: all, which the user has given.
    scoring : str, callable or None
        A scorer as scikit-learn takes it, "loss" for the negative loss, or None for `quick_score`.
    quick_score : callable
        (y, sample_weight) -> a function of the network's outputs, which serves `scoring` None.
    fitted : callable
        Gives a fitted copy of the estimator, for scorers.
    classes : ndarray or None
        The labels that y has codes of; None for other targets.
    decides : bool
        Whether the score stops the training: it must then be a number.

    Attributes
    ----------
    scoring : str, callable or None
        What the score is: "loss" as well where the score that was asked for says nothing about these rows.

    Warns
    -----
    UserWarning
        If it says nothing.
    """

    def __init__(self, network, data, rows, *, scoring, quick_score, fitted, classes, decides):
        self.network, self.fitted, self.decides = network, fitted, decides
        self.data, self.rows, self.scoring = data, rows, scoring
        given = rows is None
        y, weight = (data.y, data.score_weight) if given else (data.y[rows], _at(data.score_weight, rows))
        counted = y if weight is None else y[weight > 0]
        why = _peculiarity(counted, classes)
        self.scorer = self.quick_score = None
        if scoring is None:
            # of rows that it has held out, scikit-learn's accuracy stays, and its R2 where all y are the same
            own = given or (quick_score is R2 and _peculiarity(data.y, None) not in _CONSTANT)
            nothing = own and why in _CONSTANT
            self.quick_score = quick_score(y, weight)
        elif scoring != "loss":
            self._hold_data()
            self.scorer = check_scoring(fitted(), scoring)
            if why is not None:
                self.scorer = _with_labels(self.scorer, classes)
            nothing = why is not None and self._says_nothing(_guesses(network, counted, classes), why in _CONSTANT)
        if scoring != "loss" and nothing:
            said = "The default score" if scoring is None else f"scoring={scoring!r}"
            warnings.warn(
                f"{said} is undefined or constant on the validation rows, as {why}."
                " The negative validation loss is the score instead."
            )
            self.scoring, self.scorer, self.quick_score = "loss", None, None
        self.with_loss = given or self.scoring == "loss"
        if self.with_loss:
            self._hold_data()

    def _hold_data(self):
        if self.rows is not None:
            self.data, self.rows = self.data.at(self.rows), None

    def __call__(self):
        """Validation score and loss of the network as it is; None for a loss that was not asked for.

        Returns
        -------
        score : float
            NaN if a scorer does not take what the network gives, which is not finite.
        loss : float or None

        Raises
        ------
        ValueError
            If a scorer does not give one number, or takes no weights where there are some.
        """
        data, loss = self.data, None
        if self.with_loss:
            loss = self.network.evaluate(data.X, data.y, data.sample_weight)
        if self.quick_score is not None:
            return self.quick_score(self.network.predict(data.X, self.rows)), loss
        if self.scorer is None:
            return -loss, loss
        try:
            score = self._score(self.fitted())
        except ValueError:
            score = math.nan
            if self._is_finite():
                raise
        except TypeError as error:
            if "sample_weight" not in str(error):
                raise
            raise ValueError(f"scoring={self.scoring!r} takes no sample_weight, and there are some.") from error
        if not isinstance(score, Real) or (self.decides and math.isnan(score) and self._is_finite()):
            raise ValueError(f"scoring={self.scoring!r} must give a number, got {score!r}.")
        return float(score), loss

    def _is_finite(self):
        return is_finite(self.network.predict(self.data.X))

    def _score(self, estimator):
        weight = {} if self.data.score_weight is None else {"sample_weight": self.data.score_weight}
        return self.scorer(estimator, self.data.X, self.data.labels, **weight)

    def _says_nothing(self, guesses, may_be_constant):
        """Whether the scorer is undefined for a network that gives all rows nearly the same, or tells no two apart."""
        scores = set()
        for guess in guesses:
            estimator = self.fitted()
            estimator.coefs_[-1][...] *= 0.01
            estimator.intercepts_[-1][...] = guess
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    score = self._score(estimator)
            except (ValueError, ZeroDivisionError):
                return True
            except TypeError:
                return False  # as of a score that is no number: the first epoch tells
            if not isinstance(score, Real):
                return False
            if not math.isfinite(score):
                return True
            scores.add(float(score))
        # a score of at most 1 is as low as this by a spread that is 0 but for rounding
        by_rounding = getattr(self.scorer, "_sign", -1) > 0 and min(scores) < -1e9
        return may_be_constant and (len(scores) == 1 or by_rounding)


# What _peculiarity says of targets that are all alike
_CONSTANT = ("there is one row", "y has one value")


def _peculiarity(y, classes):
    """In words, what may make a score undefined or constant on rows with these targets; None if nothing does.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_outputs)
        Numbers, bits or codes of classes.
    classes : ndarray or None
        The labels of the codes.
    """
    if len(y) == 1:
        return _CONSTANT[0]
    constant = np.atleast_1d((y == y[0]).all(axis=0))
    if constant.all():
        return _CONSTANT[1]
    if classes is not None and len(lacking := np.setdiff1d(np.arange(len(classes)), y)):
        return f"y lacks {', '.join(map(repr, classes[lacking].tolist()))}"
    if constant.any():
        return f"y has one value in column {', '.join(map(str, np.flatnonzero(constant)))}"
    return None


def _guesses(network, y, classes):
    """Intercepts of two networks that give all rows nearly the same; where y has one class, one is right, one wrong."""
    if classes is None or len(classes) <= 2:
        return [-0.37, 1.37]
    right = int(y[0])
    lacking = np.setdiff1d(np.arange(len(classes)), y)
    return np.eye(len(classes))[[right, lacking[0]]]


def _with_labels(scorer, classes):
    """A scorer of scikit-learn's whose function is told all classes, where it takes probabilities of each."""
    if classes is None or getattr(scorer, "_response_method", "predict") == "predict":
        return scorer
    if "labels" not in signature(scorer._score_func).parameters or "labels" in scorer._kwargs:
        return scorer
    told = copy(scorer)
    told._kwargs = {**scorer._kwargs, "labels": classes}
    return told


def _at(array, rows):
    return None if array is None else array[rows]
