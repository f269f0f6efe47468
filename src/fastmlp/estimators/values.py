"""What the regressors share: the losses of values, their options, and predictions of several quantiles."""

from numbers import Real

import numpy as np
from sklearn.metrics import d2_pinball_score

from ..borrowed import Interval, StrOptions
from ..engine import LOSS_ROWS
from .parameters import plain

__all__ = ["LOSS_CONSTRAINTS", "LOSS_DOCUMENTATION", "ValuesMixin"]

LOSS_CONSTRAINTS = {
    "loss": [StrOptions({loss for loss, row in LOSS_ROWS.items() if row.target == "real"})],
    "quantile": [Interval(Real, 0, 1, closed="neither"), list, tuple, np.ndarray],
    "sort_quantiles": ["boolean"],
    "huber_delta": [Interval(Real, 0, None, closed="neither")],
    "tweedie_power": [Interval(Real, 1, 2, closed="neither")],
}
LOSS_DOCUMENTATION = """\
    quantile : float or array-like of float, default=0.5
        Level of loss="quantile", in (0, 1), or several: `predict` then has a column for each. No effect with another
        loss.
    sort_quantiles : bool, default=False
        Whether `predict` sorts each row, so that of several quantiles that of a higher level is never the lower one
        (Chernozhukov, Fernandez-Val and Galichon 2010). {training} No effect with another loss.
    huber_delta : float, default=1.0
        Residual from which on loss="huber" is linear{unit}. No effect with another loss.
    tweedie_power : float, default=1.5
        Power of loss="tweedie", in (1, 2). No effect with another loss."""


class ValuesMixin:
    """For estimators with the parameters of `LOSS_CONSTRAINTS`, and `n_outputs_` once they are fitted."""

    @property
    def _levels(self):
        """The quantile parameter as a tuple, where it has several and an effect."""
        levels = plain(self.quantile) if self.loss == "quantile" else None
        return tuple(levels) if isinstance(levels, list | tuple) else None

    def _check_levels(self, levels):
        if not all(isinstance(level, Real) and 0 < level < 1 for level in levels):
            raise ValueError(f"quantile={self.quantile!r} must have levels in (0, 1).")

    @property
    def _quantile_ranks(self):
        levels = self._levels or ()
        if not self.sort_quantiles or len(levels) < 2:
            return None
        self._check_levels(levels)
        if len(levels) != self.n_outputs_:
            raise ValueError(
                f"quantile={self.quantile!r} has {len(levels)} levels to sort the predictions by, but the fitted"
                f" network has {self.n_outputs_} outputs."
            )
        return np.argsort(np.argsort(levels, kind="stable"))

    def _check_domain(self, y):
        """Refuse targets that the loss is not defined for."""
        loss = plain(self.loss)
        domain = LOSS_ROWS[loss].domain
        if (domain == "y >= 0" and y.min() < 0) or (domain == "y > 0" and y.min() <= 0):
            raise ValueError(f"loss={loss!r} needs {domain}, got {y.min()}.")

    def _loss_options(self):
        """The options of the loss, as `Network` takes them."""
        if self.loss == "quantile":
            levels = self._levels or (self.quantile,)
            self._check_levels(levels)
            return {"quantiles": tuple(map(float, levels))}
        if self.loss == "huber":
            return {"huber_delta": float(self.huber_delta)}
        return {"tweedie_power": float(self.tweedie_power)} if self.loss == "tweedie" else {}

    def _columns_of_outputs(self, y, options):
        """Targets of shape (n_samples, n_columns) with a column for each output of the network."""
        n_levels = len(options.get("quantiles", ()))
        if n_levels < 2:
            return y
        if y.shape[1] > 1:
            raise ValueError(
                f"quantile={self.quantile!r} with several levels needs y of one output, not of {y.shape[1]}."
            )
        return np.repeat(y, n_levels, axis=1)

    def _in_order(self, outputs):
        """Outputs as `predict` has them, with `sort_quantiles` in the order of the levels."""
        ranks = self._quantile_ranks
        return outputs if ranks is None else np.take(np.sort(outputs, axis=1), ranks, axis=1)

    def _d2_pinball(self, y, predicted, sample_weight):
        """The mean of D2 of the pinball loss over levels and outputs."""
        levels = self._levels or (plain(self.quantile),)
        parts = [predicted] if len(levels) == 1 else predicted.T  # of one level there may be several outputs
        scores = [
            d2_pinball_score(y, part, sample_weight=sample_weight, alpha=level)
            for level, part in zip(levels, parts, strict=True)
        ]
        return float(np.mean(scores))
