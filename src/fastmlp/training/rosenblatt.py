"""Rosenblatt's rule, epoch by epoch: the order of the rows, and when to stop."""

import math
import time

import numpy as np

from ..engine import permutation

__all__ = ["train"]


def train(neuron, n_rows, *, held_out, score, max_iter, tol, n_iter_no_change, shuffle, seed, verbose, cancelled):
    """Train a neuron until it no longer improves.

    Parameters
    ----------
    neuron : StepNeuron
    n_rows : int
        Rows of its data.
    held_out : ndarray of shape (n_rows,), bool, or None
        Rows not to train on.
    score : callable or None
        (coef, intercept) -> float, the larger the better: the score to watch, in place of the objective.
    max_iter : int
        Most epochs.
    tol : float or None
        What counts as an improvement of the score, or of the mean objective of an epoch; None: train for `max_iter`.
    n_iter_no_change : int
        Epochs without improvement after which to stop.
    shuffle : bool
        Whether to shuffle the rows before each epoch, those of the epoch before by the same permutation.
    seed : int
        Of that permutation.
    verbose : int
        Whether to print what scikit-learn prints.
    cancelled : threading.Event
        Set by another thread: stop after the epoch.

    Returns
    -------
    n_iter : int
        Epochs.

    Raises
    ------
    ValueError
        If the weights become non-finite.
    """
    began = time.perf_counter()
    order = np.arange(n_rows, dtype=np.intp)
    step = permutation(n_rows, seed) if shuffle else None
    n_trained = n_rows if held_out is None else n_rows - np.count_nonzero(held_out)
    best, no_improvement = math.inf, 0
    for n_iter in range(1, max_iter + 1):
        if verbose:
            print(f"-- Epoch {n_iter}")
        if shuffle:
            order = order[step]
        rows = order if held_out is None else order[~held_out[order]]
        try:
            loss, objective = (total / n_trained for total in neuron.epoch(rows))
        except FloatingPointError:
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{n_iter}. Scaling input data with StandardScaler"
                " or MinMaxScaler might help."
            ) from None
        cost = objective if score is None else -score(neuron.coef, neuron.intercept)
        if verbose:
            print(
                f"Norm: {neuron.norm:.2f}, NNZs: {np.count_nonzero(neuron.coef)}, Bias: {neuron.intercept:.6f},"
                f" T: {n_iter * n_trained}, Avg. loss: {loss:f}, Objective: {objective:f}"
                + ("" if score is None else f", Validation score: {-cost:f}")
            )
            print(f"Total training time: {time.perf_counter() - began:.2f} seconds.")
        no_improvement = no_improvement + 1 if tol is not None and cost > best - tol else 0
        best = min(best, cost)
        if no_improvement >= n_iter_no_change:
            if verbose:
                print(f"Convergence after {n_iter} epochs took {time.perf_counter() - began:.2f} seconds")
            break
        if cancelled.is_set():
            break
    neuron.settle()
    return n_iter
