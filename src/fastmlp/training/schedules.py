"""Learning rates over the course of a training: a table of schedules, and linear warm-up before any of them."""

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

__all__ = ["SCHEDULES", "Schedule", "schedule_for"]


class Option(NamedTuple):
    """What a schedule may be told."""

    default: Any
    accepts: Callable  # (value, learning_rate_init) -> bool
    allowed: str  # the same in words


class Row(NamedTuple):
    """A schedule: its options and, if its rates are known in advance, their formula.

    `curve` is called with the learning rate to begin with, the numbers of the updates as an array of floats (whole, and
    without a limit), the batches of an epoch, the updates planned in all, and the options by name. Without it the rate
    is held through an epoch, and what the epochs have shown decides on the next.
    """

    options: dict[str, Option]
    curve: Callable | None = None


def _is_integer(value):
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _integer(default, least):
    return Option(default, lambda value, _: _is_integer(value) and value >= least, f"an integer >= {least}")


def _factor(default):
    return Option(default, lambda value, _: _is_real(value) and 0 < value <= 1, "a number in (0, 1]")


def _divisor(default):
    return Option(default, lambda value, _: _is_real(value) and value >= 1, "a finite number >= 1")


_MIN_LR = Option(0.0, lambda value, base: _is_real(value) and 0 <= value <= base, "a number in [0, learning_rate_init]")


def cosines(angles):
    """The cosine of each number: NumPy's vectorised one is rounded by the processor's instructions."""
    return np.array([math.cos(angle) for angle in angles])


def _half_cosine(start, end, share):
    """From `start` at share 0 to `end` at 1."""
    return end + (start - end) * (0.5 * (1.0 + cosines(np.pi * share)))


def _step(rate, updates, n_batches, planned, *, step_size, gamma):
    return rate * float(gamma) ** (updates // n_batches // float(step_size))


def _exponential(rate, updates, n_batches, planned, *, gamma):
    return rate * float(gamma) ** (updates // n_batches)


def _cosine(rate, updates, n_batches, planned, *, min_lr, restart_every, restart_mult):
    """Loshchilov and Hutter (2017), equation 5, in updates in place of epochs."""
    if restart_every is None:
        return _half_cosine(rate, min_lr, updates / planned)
    lengths = [float(restart_every) * n_batches]
    starts = [0.0]
    if restart_mult == 1:
        return _half_cosine(rate, min_lr, updates % lengths[0] / lengths[0])
    while starts[-1] + lengths[-1] <= updates[-1]:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(lengths[-1] * restart_mult)
    run = np.searchsorted(starts, updates, side="right") - 1
    return _half_cosine(rate, min_lr, (updates - np.array(starts)[run]) / np.array(lengths)[run])


def _one_cycle(rate, updates, n_batches, planned, *, pct_start, div_factor, final_div_factor):
    """Smith and Topin (2018), with PyTorch's cosine in place of lines; the last update is at the lowest rate."""
    first, last, top = rate / div_factor, rate / div_factor / final_div_factor, max(0.0, pct_start * planned - 1.0)
    rising = _half_cosine(first, rate, updates / max(top, 1.0))
    falling = _half_cosine(rate, last, (updates - top) / max(planned - 1.0 - top, 1e-9))
    return np.where(updates <= top, rising if top > 0 else rate, falling)


#: The names that `lr_schedule` may have.
#:
#: constant       learning_rate_init
#: invscaling     learning_rate_init / (t + 1)**power_t, t the training rows seen; once an epoch, as scikit-learn's
#: adaptive       a fifth of the rate in place of stopping, until it is 1e-6; scikit-learn's
#: plateau        times `factor` after more than `patience` epochs whose training loss or validation score was not
#:                better than the best by the share `threshold`, down to `min_lr`; PyTorch's ReduceLROnPlateau
#: step           times `gamma` every `step_size` epochs
#: exponential    times `gamma` every epoch
#: cosine         down to `min_lr` over all planned updates; or over `restart_every` epochs, then from the top again
#:                over `restart_mult` times as many; Loshchilov and Hutter (2017)
#: one_cycle      up from learning_rate_init / `div_factor` to learning_rate_init over the share `pct_start` of the
#:                planned updates, then down to the `final_div_factor`-th part of where it began; Smith and Topin (2018)
SCHEDULES = {
    "constant": Row({}),
    "invscaling": Row({}),
    "adaptive": Row({}),
    "plateau": Row(
        {
            "factor": Option(0.1, lambda value, _: _is_real(value) and 0 < value < 1, "a number in (0, 1)"),
            "patience": _integer(10, 0),
            "threshold": Option(1e-4, lambda value, _: _is_real(value) and value >= 0, "a finite number >= 0"),
            "min_lr": _MIN_LR,
        }
    ),
    "step": Row({"step_size": _integer(30, 1), "gamma": _factor(0.1)}, _step),
    "exponential": Row({"gamma": _factor(0.95)}, _exponential),
    "cosine": Row(
        {
            "min_lr": _MIN_LR,
            "restart_every": Option(
                None, lambda value, _: value is None or _is_integer(value) and value >= 1, "None or an integer >= 1"
            ),
            "restart_mult": _integer(1, 1),
        },
        _cosine,
    ),
    "one_cycle": Row(
        {
            "pct_start": Option(0.3, lambda value, _: _is_real(value) and 0 <= value <= 1, "a number in [0, 1]"),
            "div_factor": _divisor(25.0),
            "final_div_factor": _divisor(1e4),
        },
        _one_cycle,
    ),
}


class Schedule(NamedTuple):
    """A schedule with its options, checked: `schedule_for` makes it."""

    name: str | None  # a key of SCHEDULES, or None for a callable
    function: Callable | None
    options: dict
    warmup: float | int

    @property
    def steady(self):
        """Whether the rate is held through every epoch."""
        return self.warmup == 0 and self.name is not None and SCHEDULES[self.name].curve is None

    def rates(self, learning_rate_init, t, n_batches, n_epochs):
        """Learning rates of an epoch, before warm-up.

        Parameters
        ----------
        learning_rate_init : float
            The rate that the schedule is about.
        t : int
            Updates done so far.
        n_batches : int
            Batches, and so updates, of an epoch.
        n_epochs : int
            Epochs planned from the first update on. After them the last value holds.

        Returns
        -------
        rates : float64 ndarray of shape (n_batches,), or None
            None where the rate is held through an epoch.

        Raises
        ------
        ValueError
            If a callable returns anything but a finite number >= 0.
        """
        if self.name is None:
            return np.array([self._called(step) for step in range(t, t + n_batches)], dtype=np.float64)
        curve = SCHEDULES[self.name].curve
        if curve is None:
            return None
        planned = float(n_batches * n_epochs)
        updates = np.minimum(np.arange(n_batches, dtype=np.float64) + float(t), planned - 1.0)
        return curve(float(learning_rate_init), updates, n_batches, planned, **self.options)

    def _called(self, step):
        rate = self.function(step)
        if not (_is_real(rate) and rate >= 0):
            raise ValueError(f"lr_schedule must return a finite learning rate >= 0, got {rate!r} at step {step}.")
        return rate

    def warming(self, t, n_batches, n_epochs):
        """Factors of the rates of an epoch while the warm-up lasts, else None.

        (k + 1) / n of the k-th update for k < n, 1 from then on: Goyal et al. (2017), section 2.2.
        """
        steps = self.warmup if _is_integer(self.warmup) else round(self.warmup * n_batches * n_epochs)
        if t >= steps:
            return None
        return np.minimum(1.0, (np.arange(n_batches, dtype=np.float64) + float(t + 1)) / float(steps))


def schedule_for(lr_schedule, lr_schedule_params=None, warmup=0, *, learning_rate_init, otherwise="constant"):
    """Check what an estimator was told about learning rates.

    Parameters
    ----------
    lr_schedule : str, callable or None
        A key of `SCHEDULES`; or a function of the number of the update (0, 1, ...) that returns its learning rate.
    lr_schedule_params : dict, default=None
        Options of the schedule; those that are missing have their defaults.
    warmup : int or float, default=0
        Updates of linear warm-up: their number, or as a float in [0, 1) their share of all planned updates.
    learning_rate_init : float
        The estimator's, positive.
    otherwise : str, default="constant"
        The schedule if `lr_schedule` is None.

    Returns
    -------
    schedule : Schedule

    Raises
    ------
    ValueError
        If a name or a value is not allowed.
    """
    given = {} if lr_schedule_params is None else lr_schedule_params
    if (
        not callable(lr_schedule)
        and lr_schedule is not None
        and (not isinstance(lr_schedule, str) or lr_schedule not in SCHEDULES)
    ):
        raise ValueError(f"lr_schedule must be None, a callable or one of {sorted(SCHEDULES)}, got {lr_schedule!r}.")
    if not isinstance(given, Mapping):
        raise ValueError(f"lr_schedule_params must be None or a dict, got {lr_schedule_params!r}.")
    if not (_is_integer(warmup) and warmup >= 0 or _is_real(warmup) and 0 <= warmup < 1):
        raise ValueError(f"warmup must be an integer >= 0 or a float in [0, 1), got {warmup!r}.")
    known = SCHEDULES[lr_schedule].options if isinstance(lr_schedule, str) else {}
    for key, value in given.items():
        if key not in known:
            names = sorted(known) or "none"
            raise ValueError(f"lr_schedule_params has {key!r}; options of lr_schedule={lr_schedule!r}: {names}.")
        if not known[key].accepts(value, learning_rate_init):
            raise ValueError(f"lr_schedule_params[{key!r}] must be {known[key].allowed}, got {value!r}.")
    options = {key: given.get(key, option.default) for key, option in known.items()}
    # NumPy's float32 would make one of the rate
    options = {key: value.item() if isinstance(value, np.generic) else value for key, value in options.items()}
    if options.get("restart_mult", 1) > 1 and options["restart_every"] is None:
        raise ValueError("lr_schedule_params['restart_mult'] > 1 needs 'restart_every', got None.")
    if callable(lr_schedule):
        return Schedule(None, lr_schedule, options, warmup)
    return Schedule(otherwise if lr_schedule is None else lr_schedule, None, options, warmup)
