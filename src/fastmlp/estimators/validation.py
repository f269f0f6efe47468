"""Rows that are not trained on: where they come from, and how the network does on them after an epoch."""

import math
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

__all__ = ["Data", "Validation", "hold_out"]


class Data(NamedTuple):
    """Rows as the engine takes them, and the labels as the user gave them, which scorers take."""

    X: Any  # C-contiguous array or CSR
    y: np.ndarray
    sample_weight: np.ndarray | None  # of the loss; with class_weight in it
    labels: Any
    score_weight: np.ndarray | None  # of the score

    def at(self, rows):
        """Copies of some rows."""
        return Data(*(None if part is None else part[rows] for part in self))


def hold_out(n_rows, fraction, stratify, random_state):
    """Split row numbers at random, as scikit-learn's estimator does.

    Parameters
    ----------
    n_rows : int
    fraction : float
        Share of the rows to hold out.
    stratify : ndarray of shape (n_rows,) or None
        Classes whose shares to keep.
    random_state : RandomState

    Returns
    -------
    rows, held_out : ndarray of intp

    Raises
    ------
    ValueError
        If fewer than two rows are held out.
    """
    rows, held_out = train_test_split(
        np.arange(n_rows, dtype=np.intp), random_state=random_state, test_size=fraction, stratify=stratify
    )
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
        Which of `data` are the validation rows; None: all.
    with_loss : bool
        Whether to compute the loss.
    scoring : str, callable or None
        The estimator's parameter.
    quick_score : callable or None
        (y, sample_weight) -> a function of the network's outputs, which serves `scoring` None; None: there is no such.
    fitted : callable
        Gives a fitted copy of the estimator, for all other scorers.
    decides : bool
        Whether the score stops the training: it must then be a number.
    """

    def __init__(self, network, data, rows, *, with_loss, scoring, quick_score, fitted, decides):
        self.network, self.rows = network, rows
        self.quick_score = self.scorer = None
        self.scoring, self.decides = scoring, decides
        self.data, self.fitted, self.with_loss = data, fitted, with_loss or scoring == "loss"
        if scoring is None and quick_score is not None:
            y, weight = (data.y, data.score_weight) if rows is None else _at(data, rows)
            self.quick_score = quick_score(y, weight)
        elif scoring != "loss":
            self.scorer = check_scoring(fitted(), scoring)
        if rows is not None and (self.with_loss or self.scorer is not None):
            self.data, self.rows = data.at(rows), None

    def __call__(self):
        """Validation score and loss of the network as it is; None for a loss that was not asked for.

        Returns
        -------
        score : float
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
        weight = {} if data.score_weight is None else {"sample_weight": data.score_weight}
        try:
            score = self.scorer(self.fitted(), data.X, data.labels, **weight)
        except TypeError as error:
            if "sample_weight" not in str(error):
                raise
            raise ValueError(f"scoring={self.scoring!r} takes no sample_weight, and there are some.") from error
        if not isinstance(score, Real) or (self.decides and math.isnan(score)):
            raise ValueError(f"scoring={self.scoring!r} must give a number, got {score!r}.")
        return float(score), loss


def _at(data, rows):
    return data.y[rows], None if data.score_weight is None else data.score_weight[rows]
