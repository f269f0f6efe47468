"""The loop over epochs. One engine call does an epoch; what stands here runs between two of them."""

import math
import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..engine import OPTIMIZERS
from .documents import are_arrays, is_count, is_number, random_state_of, require

__all__ = ["INTERRUPTED", "Progress", "check_finite", "check_state", "is_finite", "restore", "state_of", "train"]

_CURVES = ("losses", "rates", "scores", "validation_losses")  # of a Progress

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
    curves = {name: np.array(getattr(progress, name), dtype=np.float64) for name in _CURVES}
    return {
        "parameters": network.coefs + network.intercepts,
        "optimizer": optimizer.get_state(),
        "progress": vars(progress) | curves,
        "rows": rows,
        "held_out": held_out,
        "random_state": random_state.get_state(),
    }


def check_state(
    state, with_values, *, network, optimizer, n_rows, max_iter, shuffle, holds_out, validates, early_stopping
):
    """Refuse what no `state_of` of a fit from the start gives.

    Parameters
    ----------
    state : object
    with_values : bool
        Whether to look into the arrays, beyond their shapes and dtypes.
    network, optimizer : Network, Optimizer
        Of the fit that is to go on from the state; the optimizer may have no moments yet.
    n_rows : int
        Rows for training and held out.
    max_iter : int
    shuffle, early_stopping : bool
        As `train` has them.
    holds_out, validates : bool
        Whether rows are held out, and whether there is a validation score.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError
        That says what is wrong.
    """
    params = network.coefs + network.intercepts

    def check_params(arrays, name):
        shapes = are_arrays(arrays, "f") and [(array.shape, array.dtype) for array in arrays]
        require(shapes == [(param.shape, param.dtype) for param in params], f"its {name} are not those of the network")

    check_params(state["parameters"], "parameters")
    require(state["progress"].keys() == vars(Progress()).keys(), "it has other progress")
    progress = Progress(**state["progress"])
    _check_progress(progress, max_iter, validates)
    require((progress.best_params is not None) == early_stopping, "it has other best parameters")
    if early_stopping:
        check_params(progress.best_params, "best parameters")
    changing = dict(state["optimizer"])
    moments = changing.pop("moments")
    require(isinstance(moments, list) and len(moments) == OPTIMIZERS[optimizer.name], "it has other moments")
    for arrays in moments:
        check_params(arrays, "moments")
    optimizer.check_changing(changing)
    require(changing["t"] <= progress.n_iter * n_rows, f"it counts {changing['t']} updates")
    require((changing["dropout_seed"] is not None) == bool(network.dropout), "it has another dropout")
    rows, held_out = state["rows"], state["held_out"]
    for array, wanted in ((rows, shuffle or holds_out), (held_out, holds_out)):
        require((array is not None) == wanted, "it has other rows")
        require(array is None or (are_arrays([array], "i", 1) and array.dtype == np.intp), "its rows are no numbers")
    parts = [array for array in (rows, held_out) if array is not None]
    require(all(map(len, parts)), "it has no rows")
    require(not parts or sum(map(len, parts)) == n_rows, f"it has other rows than {n_rows}")
    trained = n_rows - (len(held_out) if holds_out else 0)
    require(progress.t == progress.n_iter * trained, f"it has trained on {progress.t} rows")
    if not with_values:
        return
    random_state_of(*state["random_state"])
    if parts:
        found = np.concatenate(parts)
        in_range = 0 <= found.min() and found.max() < n_rows
        require(in_range and (np.bincount(found, minlength=n_rows) == 1).all(), "its rows are not each of them once")


def _check_progress(progress, max_iter, validates):
    n_iter = progress.n_iter
    for count in (progress.t, progress.no_improvement_count, n_iter):
        require(is_count(count), f"it counts {count!r}")
    require(1 <= n_iter <= max_iter, f"it has {n_iter} epochs of {max_iter}")
    require(type(progress.stopped) is bool, f"stopped is {progress.stopped!r}")
    require(is_number(progress.best) and is_number(progress.loss), "it has no loss")
    for name in _CURVES:
        curve = getattr(progress, name)
        require(are_arrays([curve], "f", 1) and curve.dtype == np.float64, f"{name} is no curve")
        lengths = {"losses": (n_iter,), "rates": (n_iter,), "scores": (n_iter * validates,)}
        allowed = lengths.get(name, (0, n_iter * validates))
        require(len(curve) in allowed, f"{name} has {len(curve)} values in {n_iter} epochs")


def restore(state, network, optimizer, progress, random_state):
    """The opposite of `state_of`, in place, of a state that was checked; returns the rows.

    Returns
    -------
    rows : intp ndarray or None
    """
    for array, values in zip(network.coefs + network.intercepts, state["parameters"], strict=True):
        array[...] = values
    optimizer.set_state(state["optimizer"])
    vars(progress).update(state["progress"])
    for name in _CURVES:
        setattr(progress, name, getattr(progress, name).tolist())
    random_state.set_state(state["random_state"])
    return state["rows"]
