"""The loop over epochs. One engine call does an epoch; what stands here runs between two of them."""

import math
import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning

__all__ = ["INTERRUPTED", "Progress", "check_finite", "is_finite", "restore", "state_of", "train"]

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
    n_iter: int = 0  # epochs, losses, rates and scores of this call
    stopped: bool = False  # before max_iter
    loss: float = math.nan
    losses: list = field(default_factory=list)
    rates: list = field(default_factory=list)  # of the last update of each epoch
    scores: list = field(default_factory=list)
    validation_losses: list = field(default_factory=list)

    def metrics(self):
        """What the last epoch came to, by name."""
        metrics = {"loss": self.loss, "learning_rate": self.rates[-1]}
        if self.scores:
            metrics["validation_score"] = self.scores[-1]
        if self.validation_losses:
            metrics["validation_loss"] = self.validation_losses[-1]
        return metrics


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
    early_stopping=False,
    relative_tol=False,
    epoch_begins=None,
    epoch_ends=None,
    single_epoch=False,
):
    """Train a bound network until `max_iter` epochs are done, or progress ends.

    Parameters
    ----------
    network : Network
        Bound to its data; trained in place.
    optimizer : Optimizer
        Living on the network's layout.
    progress : Progress
        Updated in place; one of a fit that was cut short goes on there.
    rows : intp ndarray of shape (n_rows,) or None
        The rows to train on, reordered in place when `shuffle`. None: all rows in order, without `shuffle`.
    random_state : RandomState
        Shuffled once per epoch.
    validate : callable returning (float, float or None), or None
        Validation score and loss of the network as it is.
    early_stopping : bool
        Whether that score decides in place of the training loss; the parameters of the best are restored at the end.
    relative_tol : bool
        Whether an epoch must improve the best loss or score by ``tol * min(1, abs(best))`` in place of `tol`.
    epoch_begins, epoch_ends : callable or None
        Called before and after each epoch, after all else; the latter may set ``progress.stopped``.
    single_epoch : bool
        One epoch without the warning that `max_iter` was reached.

    Raises
    ------
    ValueError
        As soon as an epoch leaves a loss and parameters that are not finite, and there is no best epoch to restore.

    Warns
    -----
    ConvergenceWarning
        After `max_iter` epochs, and if the last loss, or every validation score, is not finite.
    UserWarning
        When interrupted; the parameters are those after the last whole batch.
    """
    params = network.coefs + network.intercepts
    n_batches = -(-n_rows // batch_size)
    if early_stopping:
        best = -math.inf if progress.best is None else progress.best
        what = "Validation score"
        if progress.best_params is None:
            progress.best_params = [param.copy() for param in params]
    else:
        best = math.inf if progress.best is None else progress.best
        what = "Training loss"
    try:
        while progress.n_iter < max_iter and not progress.stopped:
            if epoch_begins is not None:
                epoch_begins()
            if shuffle:
                random_state.shuffle(rows)
            optimizer.iteration_begins(n_batches, max_iter)
            progress.loss = loss = network.epoch(rows, batch_size, optimizer, alpha)
            progress.n_iter += 1
            progress.t += n_rows
            progress.losses.append(loss)
            progress.rates.append(optimizer.rate if optimizer.rates is None else float(optimizer.rates[-1]))
            if verbose:
                print(f"Iteration {progress.n_iter}, loss = {loss:.8f}")
            diverged = not math.isfinite(loss) and not all(map(is_finite, params))
            if diverged and not (early_stopping and math.isfinite(best)):
                check_finite(params)
            if validate is not None:
                score, validation_loss = validate()
                progress.scores.append(score)
                if validation_loss is not None:
                    progress.validation_losses.append(validation_loss)
                if verbose:
                    print(f"Validation score: {score:f}")
            if early_stopping:
                monitored, stalled = score, _stalls(-score, -best, tol, relative_tol)
                if score > best and all(map(is_finite, params)):
                    best = score
                    # replaced at once, so that an interrupt finds those of one epoch
                    progress.best_params = [param.copy() for param in params]
            else:
                monitored, stalled = loss, _stalls(loss, best, tol, relative_tol)
                best = min(best, loss)  # in this order a NaN is not taken
            progress.best = best
            progress.no_improvement_count = progress.no_improvement_count + 1 if stalled else 0
            optimizer.iteration_ends(progress.t, monitored, maximise=early_stopping)
            if progress.no_improvement_count > n_iter_no_change:
                message = f"{what} did not improve more than tol={tol:f} for {n_iter_no_change} consecutive epochs."
                progress.stopped = optimizer.trigger_stopping(message, verbose)
                if not progress.stopped:
                    progress.no_improvement_count = 0
            if diverged:
                progress.stopped = True
                _restore_best(progress, params)
            if epoch_ends is not None:
                epoch_ends()
            if single_epoch:
                break
        else:
            if not progress.stopped:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't"
                    " converged yet.",
                    ConvergenceWarning,
                )
    except KeyboardInterrupt:
        warnings.warn(INTERRUPTED)
    never_scored = early_stopping and bool(progress.scores) and not math.isfinite(best)
    if never_scored:
        progress.best_params = [param.copy() for param in params]
    elif early_stopping:
        _restore_best(progress, params)
    _warn_if_not_finite(progress, early_stopping, never_scored)


def _warn_if_not_finite(progress, early_stopping, never_scored):
    said = []
    if progress.n_iter > 0 and not math.isfinite(progress.loss):
        first = progress.n_iter
        while first > 1 and not math.isfinite(progress.losses[first - 2]):
            first -= 1
        said.append(f"the loss became non-finite at epoch {first}")
    if never_scored:
        said.append("no validation score was finite, the parameters of the last epoch are kept")
    elif said and early_stopping:
        said.append("the parameters with the best validation score are restored")
    if said:
        warnings.warn(f"Stochastic Optimizer: {'; '.join(said)}.", ConvergenceWarning)


def _stalls(loss, best, tol, relative):
    """Whether a loss, or a negative score, is no progress from the best before."""
    if not math.isfinite(loss):
        return True
    if relative:
        return loss >= best - tol * min(1.0, abs(best))  # a loss that stays 0 is no progress
    return loss > best - tol


def _restore_best(progress, params):
    for kept, param in zip(progress.best_params, params, strict=True):
        param[...] = kept


def state_of(network, optimizer, progress, rows, held_out, random_state):
    """All that the epochs to come depend on, as plain values and arrays; the arrays are not copies.

    Parameters
    ----------
    network, optimizer, progress, rows, random_state
        As `train` has them.
    held_out : intp ndarray or None
        The rows that are not trained on.

    Returns
    -------
    state : dict
    """
    return {
        "parameters": network.coefs + network.intercepts,
        "optimizer": optimizer.get_state(),
        "progress": dict(vars(progress)),
        "rows": rows,
        "held_out": held_out,
        "random_state": random_state.get_state(),
    }


def restore(state, network, optimizer, progress, random_state):
    """The opposite of `state_of`, in place; returns the rows.

    Returns
    -------
    rows : intp ndarray or None
    """
    for array, values in zip(network.coefs + network.intercepts, state["parameters"], strict=True):
        array[...] = values
    optimizer.set_state(state["optimizer"])
    vars(progress).update(state["progress"])
    random_state.set_state(state["random_state"])
    return state["rows"]
