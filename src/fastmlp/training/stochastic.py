"""The loop over epochs. One engine call does an epoch; what stands here runs between two of them."""

import math
import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning

__all__ = ["INTERRUPTED", "Progress", "check_finite", "is_finite", "train"]

INTERRUPTED = "Training interrupted by user."


def is_finite(array):
    """Whether all values of a float array are finite."""
    # a finite sum proves finite terms and needs no temporary; the reverse does not hold, so look again
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(array.sum()) or bool(np.isfinite(array).all())


def check_finite(params):
    """Raise scikit-learn's ValueError if any of the parameter arrays has a value that is not finite."""
    if not all(map(is_finite, params)):
        raise ValueError(
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
            " preprocessed."
        )


@dataclass
class Progress:
    """What the epochs have shown. Warm starts and partial_fit go on from an earlier one's best values."""

    t: int = 0  # training rows seen
    no_improvement_count: int = 0
    best: float | None = None  # lowest loss, or with validation the highest score; None before the first epoch
    best_params: list | None = None  # copies of the parameters that had the best score; kept with validation only
    n_iter: int = 0  # epochs, losses and scores of this call
    loss: float = math.nan
    losses: list = field(default_factory=list)
    scores: list = field(default_factory=list)


def train(
    network,
    optimizer,
    progress,
    rows,
    n_rows,
    *,
    batch_size,
    alpha,
    shuffle,
    random_state,
    max_iter,
    tol,
    n_iter_no_change,
    verbose,
    validate=None,
    single_epoch=False,
):
    """Train a bound network for up to `max_iter` epochs.

    Parameters
    ----------
    network : Network
        Bound to its data; trained in place.
    optimizer : Optimizer
        Living on the network's layout.
    progress : Progress
        Updated in place.
    rows : intp ndarray of shape (n_rows,) or None
        The rows to train on, reordered in place when `shuffle`. None: all rows in order, without `shuffle`.
    random_state : RandomState
        Shuffled once per epoch.
    validate : callable returning float, or None
        Score of the network as it is. With it the parameters of the best score are restored at the end.
    single_epoch : bool
        One epoch without the warning that `max_iter` was reached.

    Raises
    ------
    ValueError
        As soon as an epoch leaves a loss and parameters that are not finite; with `validate`, where an earlier
        state may be restored, the caller decides.

    Warns
    -----
    ConvergenceWarning
        After `max_iter` epochs.
    UserWarning
        When interrupted; the parameters are those after the last whole batch.
    """
    params = network.coefs + network.intercepts
    n_batches = -(-n_rows // batch_size)
    if validate is None:
        best = math.inf if progress.best is None else progress.best
        what = "Training loss"
    else:
        best = -math.inf if progress.best is None else progress.best
        what = "Validation score"
        if progress.best_params is None:
            progress.best_params = [param.copy() for param in params]
    try:
        for epoch in range(1, max_iter + 1):
            if shuffle:
                random_state.shuffle(rows)
            optimizer.iteration_begins(n_batches, max_iter)
            progress.loss = loss = network.epoch(rows, batch_size, optimizer, alpha)
            progress.n_iter = epoch
            progress.t += n_rows
            progress.losses.append(loss)
            if verbose:
                print(f"Iteration {epoch}, loss = {loss:.8f}")
            if validate is None:
                if not math.isfinite(loss):
                    check_finite(params)
                monitored, stalled = loss, loss > best - tol
                best = min(best, loss)  # in this order a NaN is not taken
            else:
                score = validate()
                progress.scores.append(score)
                if verbose:
                    print(f"Validation score: {score:f}")
                monitored, stalled = score, score < best + tol
                if score > best:
                    best = score
                    # replaced at once, so that an interrupt finds those of one epoch
                    progress.best_params = [param.copy() for param in params]
            progress.best = best
            progress.no_improvement_count = progress.no_improvement_count + 1 if stalled else 0
            optimizer.iteration_ends(progress.t, monitored, maximise=validate is not None)
            if progress.no_improvement_count > n_iter_no_change:
                message = f"{what} did not improve more than tol={tol:f} for {n_iter_no_change} consecutive epochs."
                if optimizer.trigger_stopping(message, verbose):
                    break
                progress.no_improvement_count = 0
            if single_epoch:
                break
        else:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't"
                " converged yet.",
                ConvergenceWarning,
            )
    except KeyboardInterrupt:
        warnings.warn(INTERRUPTED)
    if validate is not None:
        for kept, param in zip(progress.best_params, params, strict=True):
            param[...] = kept
