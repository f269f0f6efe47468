"""The state of a fit as a checkpoint has it: taken, checked, put back."""

import numpy as np

from ..engine import OPTIMIZERS
from .documents import are_arrays, random_state_of, require
from .progress import CURVES, Progress

__all__ = ["check_rows", "check_state", "restore", "state_of"]


def state_of(fit):
    """All that the epochs to come depend on, as plain values and arrays; the arrays are not copies."""
    curves = {name: np.array(getattr(fit.progress, name), dtype=np.float64) for name in CURVES}
    return {
        "parameters": fit.parameters,
        "optimizer": fit.optimizer.get_state(),
        "progress": vars(fit.progress) | curves,
        **fit.order_state(),
        "random_state": fit.random_state.get_state(),
    }


def restore(fit, state):
    """The opposite of `state_of`, in place, of a state that was checked."""
    for array, values in zip(fit.parameters, state["parameters"], strict=True):
        array[...] = values
    fit.optimizer.set_state(state["optimizer"])
    curves = {name: state["progress"][name].tolist() for name in CURVES}
    fit.progress = Progress(**state["progress"] | curves)
    fit.set_order_state(state)
    fit.random_state.set_state(state["random_state"])


def check_state(fit, state, with_values):
    """Refuse what `state_of` gives of no fit like this one that began from nothing.

    Parameters
    ----------
    fit : Fit
        The one that is to go on from the state.
    state : object
    with_values : bool
        Whether to look into the arrays, beyond their shapes and dtypes.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError
        That says what is wrong.
    """

    def check_params(arrays, name):
        shapes = are_arrays(arrays, "f") and [(array.shape, array.dtype) for array in arrays]
        expected = [(param.shape, param.dtype) for param in fit.parameters]
        require(shapes == expected, f"its {name} are not those of the network")

    check_params(state["parameters"], "parameters")
    require(state["progress"].keys() == vars(Progress()).keys(), "it has other progress")
    n_trained, n_begun = fit.check_order_state(state, with_values)
    progress = Progress(**state["progress"])
    progress.check(fit.max_iter, fit.validates, least=1 - n_begun)
    require((progress.best_params is not None) == fit.early_stopping, "it has other best parameters")
    if fit.early_stopping:
        check_params(progress.best_params, "best parameters")
    changing = dict(state["optimizer"])
    moments = changing.pop("moments")
    require(isinstance(moments, list) and len(moments) == OPTIMIZERS[fit.optimizer.name], "it has other moments")
    for arrays in moments:
        check_params(arrays, "moments")
    fit.optimizer.check_changing(changing)
    most = (progress.n_iter + n_begun) * fit.n_rows
    require(changing["t"] <= most, f"it counts {changing['t']} updates")
    require((changing["dropout_seed"] is not None) == fit.network.draws, "it has another dropout")
    require(progress.t == progress.n_iter * n_trained, f"it has trained on {progress.t} rows")
    if with_values:
        random_state_of(*state["random_state"])


def check_rows(fit, state, with_values):
    """Refuse numbers of rows, in training order and held out, that are not those of a fit; gives how many are held out.

    See `check_state`.
    """
    rows, held_out = state["rows"], state["held_out"]
    for array, wanted in ((rows, fit.shuffle or fit.holds_out), (held_out, fit.holds_out)):
        require((array is not None) == wanted, "it has other rows")
        require(array is None or (are_arrays([array], "i", 1) and array.dtype == np.intp), "its rows are no numbers")
    parts = [array for array in (rows, held_out) if array is not None]
    require(all(map(len, parts)), "it has no rows")
    require(not parts or sum(map(len, parts)) == fit.n_rows, f"it has other rows than {fit.n_rows}")
    if with_values and parts:
        found = np.concatenate(parts)
        in_range = 0 <= found.min() and found.max() < fit.n_rows
        each_once = in_range and (np.bincount(found, minlength=fit.n_rows) == 1).all()
        require(each_once, "its rows are not each of them once")
    return 0 if held_out is None else len(held_out)
