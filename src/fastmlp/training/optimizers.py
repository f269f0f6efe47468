"""Learning rates and the memory of an optimizer; the update itself is the engine's."""

import copy
from math import sqrt
from typing import NamedTuple

from ..engine import OPTIMIZERS

__all__ = ["RULES", "Optimizer"]


class Rule(NamedTuple):
    """What an estimator hands to one of the engine's optimizers."""

    hyper: dict  # the engine's name of a hyperparameter -> the estimator's
    scheduled: bool  # whether the parameter `learning_rate` applies


RULES = {
    "sgd": Rule({"momentum": "momentum", "nesterov": "nesterovs_momentum"}, scheduled=True),
    "adam": Rule({"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"}, scheduled=False),
}


class Optimizer:
    """An optimizer's rate, hyperparameters and state arrays, as `Network.epoch` reads them.

    Parameters
    ----------
    name : str
        A key of `RULES` and of the engine's `OPTIMIZERS`.
    params : mapping
        The estimator's parameters: learning_rate_init, learning_rate, power_t and those that the rule names.

    Attributes
    ----------
    rate : float
        Base rate of the next update, as scheduled.
    t : int
        Updates done so far; the engine counts them.
    hyper : dict
        Hyperparameters under the engine's names.
    moments : list of list of ndarray
        Per state array (velocity; first and second moment) one array per parameter array, coefficients first.
    state : list of ndarray
        The flat buffers under `moments`. They belong to a network's layout and never enter a pickle.
    """

    def __init__(self, name, params):
        rule = RULES[name]
        self.name = name
        self.learning_rate_init = params["learning_rate_init"]
        self.schedule = params["learning_rate"] if rule.scheduled else "constant"
        self.power_t = params["power_t"]
        self.hyper = {key: params[parameter] for key, parameter in rule.hyper.items()}
        self.rate = float(self.learning_rate_init)
        self.t = 0
        self.moments = []

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != "state"}

    @property
    def learning_rate(self):
        """Rate of the last update; for adam with its bias corrections."""
        if self.name != "adam" or self.t == 0:
            return self.rate
        return self.rate * sqrt(1 - self.hyper["beta_2"] ** self.t) / (1 - self.hyper["beta_1"] ** self.t)

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

    def iteration_ends(self, time_step):
        """Set the rate of the next epoch; `time_step` counts the training rows seen so far."""
        if self.schedule == "invscaling":
            self.rate = float(self.learning_rate_init) / (time_step + 1) ** self.power_t

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
