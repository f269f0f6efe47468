"""Learning rates and the memory of an optimizer; the update itself is the engine's."""

import copy
from itertools import chain
from math import isnan, sqrt
from typing import NamedTuple

from ..engine import OPTIMIZER_MEMORY, OPTIMIZERS
from .documents import is_count, is_number, require
from .schedules import schedule_for

__all__ = ["RULES", "Optimizer"]


class Rule(NamedTuple):
    """What an estimator hands to one of the engine's optimizers."""

    hyper: dict  # the engine's name of a hyperparameter -> the estimator's
    scheduled: bool = False  # whether the parameter `learning_rate` applies
    weight_decay: float = 0.0  # unless the estimator has one


_AVERAGES = {"beta_1": "beta_1", "beta_2": "beta_2"}
_EPSILON = {"epsilon": "epsilon"}
RULES = {
    "sgd": Rule({"momentum": "momentum", "nesterov": "nesterovs_momentum"}, scheduled=True),
    "adam": Rule(_AVERAGES | _EPSILON),
    "adamw": Rule(_AVERAGES | _EPSILON, weight_decay=0.01),
    "nadam": Rule(_AVERAGES | _EPSILON),
    "rmsprop": Rule({"beta_2": "beta_2"} | _EPSILON),
    "adagrad": Rule(_EPSILON),
    "lion": Rule(_AVERAGES),
    "schedule_free_adamw": Rule(_AVERAGES | _EPSILON),
}
# Of every optimizer, under the same name here and there; missing, None or 0: off
EXTRAS = ("weight_decay", "clip_value", "clip_norm", "max_norm")

_CHANGING = ("rate", "t", "memory", "watched", "dropout_seed")


class Optimizer:
    """An optimizer's rate, hyperparameters and state arrays, as `Network.epoch` reads them.

    Parameters
    ----------
    name : str
        A key of `RULES` and of the engine's `OPTIMIZERS`.
    params : mapping
        The estimator's parameters: learning_rate_init, learning_rate, power_t and those that the rule names; if it has
        them, also lr_schedule, lr_schedule_params, warmup and `EXTRAS`.

    Attributes
    ----------
    rate : float
        Base rate of the next update, as scheduled; where an epoch's rates are planned ahead, that of its last one.
    rates : ndarray of shape (n_batches,) or None
        Rates of the epoch's updates, if they differ. They never enter a pickle.
    schedule : str or None
        Name of the schedule; None for a callable.
    memory : list of float
        Numbers that the engine carries from update to update.
    dropout_seed : int or None
        Seed of dropout and augmentation, where the network has one of them.
    t : int
        Updates done so far; the engine counts them.
    hyper : dict
        Hyperparameters under the engine's names.
    moments : list of list of ndarray
        Per state array (velocity; first and second moment) one array per parameter array, coefficients first.
    state : list of ndarray
        The flat buffers under `moments`. They belong to a network's layout and never enter a pickle.

    Raises
    ------
    ValueError
        If the schedule or its options are not allowed.
    """

    rates = dropout_seed = None

    def __init__(self, name, params):
        rule = RULES[name]
        self.name = name
        self.learning_rate_init = params["learning_rate_init"]
        self.plan = schedule_for(
            params.get("lr_schedule"),
            params.get("lr_schedule_params"),
            params.get("warmup", 0),
            learning_rate_init=self.learning_rate_init,
            otherwise=params["learning_rate"] if rule.scheduled else "constant",
        )
        self.schedule = self.plan.name
        self.power_t = params["power_t"]
        self.hyper = {key: params[parameter] for key, parameter in rule.hyper.items()}
        extras = {"weight_decay": rule.weight_decay} | {k: params[k] for k in EXTRAS if params.get(k) is not None}
        self.hyper |= {key: value for key, value in extras.items() if value}
        self.rate = float(self.learning_rate_init)
        self.watched = None, 0  # of a plateau: the best so far, and epochs without a better one
        self.memory = []
        self.t = 0
        self.moments = []

    def __getstate__(self):
        kept = dict(vars(self))  # at once: another thread may train
        return {key: value for key, value in kept.items() if key not in ("state", "rates")}

    @property
    def learning_rate(self):
        """Rate of the last update; for adam with its bias corrections."""
        rate = self.rate if self.rates is None else float(self.rates[-1])
        if self.name != "adam" or self.t == 0:
            return rate
        return rate * sqrt(1 - self.hyper["beta_2"] ** self.t) / (1 - self.hyper["beta_1"] ** self.t)

    def fits(self, network):
        """Whether the moments are of the network's shapes."""
        shapes = [param.shape for param in network.coefs + network.intercepts]
        return all([moment.shape for moment in moments] == shapes for moments in self.moments)

    def on(self, network):
        """A copy of this optimizer whose moments live in fresh buffers of the network's layout."""
        moved = copy.copy(self)
        moved.state = [network.new_state() for _ in range(OPTIMIZERS[self.name])]
        moved.moments = [sum(network.views(state), []) for state in moved.state]
        for new, old in zip(moved.moments, self.moments, strict=bool(self.moments)):
            for to, values in zip(new, old, strict=True):
                to[...] = values
        return moved

    def get_state(self):
        """What changes from update to update, as plain values and arrays; the arrays are not copies."""
        return {name: getattr(self, name) for name in (*_CHANGING, "moments")}

    def set_state(self, state):
        """The opposite of `get_state`, in place."""
        self.set_changing({name: value for name, value in state.items() if name != "moments"})
        for own, values in zip(chain(*self.moments), chain(*state["moments"]), strict=True):
            own[...] = values

    def set_changing(self, values):
        """Set what `get_state` gives beside the moments, once it is checked."""
        self.check_changing(values)
        vars(self).update(values)

    def check_changing(self, values):
        """Raise a ValueError if values are not what `get_state` gives beside the moments."""
        require(values.keys() == {*_CHANGING}, f"_optimizer has {sorted(values)}")
        best, waited = values["watched"]
        seed, memory = values["dropout_seed"], values["memory"]
        require(is_number(values["rate"]) and (best is None or is_number(best)), "_optimizer has no rate")
        require(isinstance(memory, list) and all(map(is_number, memory)), "_optimizer has no memory")
        for count in (values["t"], waited, 0 if seed is None else seed):
            require(is_count(count), f"_optimizer counts {count!r}")
        # the engine fills it in the first update, or in one that was interrupted
        expected = OPTIMIZER_MEMORY[self.name]
        filled = len(memory) == expected or values["t"] == len(memory) == 0
        require(filled, f"_optimizer has {len(memory)} numbers in memory")

    def iteration_begins(self, n_batches, n_epochs, done=0):
        """Set the rates of an epoch of `n_batches`, of which some are `done`; `n_epochs` are planned from the first."""
        if self.plan.steady:
            return
        begun = self.t - done
        rates = self.plan.rates(self.learning_rate_init, begun, n_batches, n_epochs)
        factors = self.plan.warming(begun, n_batches, n_epochs)
        self.rates = rates
        if factors is not None:
            self.rates = factors * (self.rate if rates is None else rates)
        if rates is not None:
            self.rate = float(self.rates[-1])

    def iteration_ends(self, time_step, monitored=None, maximise=False):
        """Set the rate of the next epoch from what this one has shown.

        Parameters
        ----------
        time_step : int
            Training rows seen so far.
        monitored : float, default=None
            Loss or score of the epoch, which a plateau is told by.
        maximise : bool, default=False
            Whether more of it is better.
        """
        if self.schedule == "invscaling":
            try:
                self.rate = float(self.learning_rate_init) / (time_step + 1) ** self.power_t
            except OverflowError:  # of the power
                self.rate = 0.0
        elif self.schedule == "plateau":
            self._watch(monitored, maximise, **self.plan.options)

    def _watch(self, monitored, maximise, factor, patience, threshold, min_lr):
        """One step of PyTorch's ReduceLROnPlateau with its relative threshold."""
        best, waited = self.watched
        if best is None:
            better = not isnan(monitored)
        else:
            margin = threshold * abs(best)  # PyTorch's is the other way for a negative best, such as of a negative loss
            better = monitored > best + margin if maximise else monitored < best - margin
        best, waited = (monitored, 0) if better else (best, waited + 1)
        if waited > patience:
            self.rate, waited = max(self.rate * factor, min_lr), 0
        self.watched = best, waited

    def trigger_stopping(self, msg, verbose):
        """Answer a lack of progress: True ends the training, False goes on at a fifth of the rate."""
        stopping, consequence = True, "Stopping."
        if self.schedule == "adaptive":
            if self.rate <= 1e-6:
                consequence = "Learning rate too small. Stopping."
            else:
                self.rate /= 5.0
                stopping, consequence = False, f"Setting learning rate to {self.rate:f}"
        if verbose:
            print(f"{msg} {consequence}")
        return stopping
