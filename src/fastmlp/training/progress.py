"""What the epochs of a fit have shown."""

import math
from dataclasses import dataclass, field

import numpy as np

from .documents import are_arrays, is_count, is_number, require

__all__ = ["CURVES", "Progress"]

CURVES = ("losses", "rates", "scores", "validation_losses")


@dataclass
class Progress:
    """Counts, the best and the curves of a fit. Warm starts and partial_fit go on from an earlier one's best."""

    t: int = 0  # training rows seen
    no_improvement_count: int = 0
    best: float | None = None  # lowest loss, or with early stopping the highest score; None before the first epoch
    best_params: list | None = None  # copies of the parameters that had the best score; with early stopping only
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

    def check(self, max_iter, validates, least=1):
        """Raise a ValueError unless these are values of a fit of `max_iter` epochs, with validation or without.

        Curves are arrays here. At least `least` epochs are done.
        """
        n_iter = self.n_iter
        for count in (self.t, self.no_improvement_count, n_iter):
            require(is_count(count), f"it counts {count!r}")
        require(least <= n_iter <= max_iter, f"it has {n_iter} epochs of {max_iter}")
        require(type(self.stopped) is bool, f"stopped is {self.stopped!r}")
        none_yet = n_iter == 0 and self.best is None
        require((none_yet or is_number(self.best)) and is_number(self.loss), "it has no loss")
        for name in CURVES:
            curve = getattr(self, name)
            require(are_arrays([curve], "f", 1) and curve.dtype == np.float64, f"{name} is no curve")
            lengths = {"losses": (n_iter,), "rates": (n_iter,), "scores": (n_iter * validates,)}
            allowed = lengths.get(name, (0, n_iter * validates))
            require(len(curve) in allowed, f"{name} has {len(curve)} values in {n_iter} epochs")
