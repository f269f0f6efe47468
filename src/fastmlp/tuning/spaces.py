"""Spaces to search: from what users give to Optuna's distributions, and from what it draws back to parameters."""

from dataclasses import is_dataclass, replace

import numpy as np

from ..estimators.parameters import did_you_mean
from ..estimators.tabular_base import BaseTabularMLP
from ..estimators.tabular_parameters import recipes_in_effect

__all__ = ["Space", "import_optuna"]

_TAIL = 1e-6  # share of a distribution of scipy.stats beyond either end of what is drawn
_PLAIN = (type(None), bool, int, float, str)  # what Optuna's storages keep


def import_optuna():
    """Optuna, or an error that says how to get it."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError('fastmlp.tuning needs Optuna: pip install "fastmlp[tuning]"') from error
    return optuna


class Space:
    """Distributions of an estimator's parameters.

    Parameters
    ----------
    space : dict of str to object
        By the names of `set_params`: a distribution of Optuna's or scipy.stats', a list of values, or a dict of these,
        from which one parameter is put together that is a dict.
    known : dict of str to object
        The parameters that there are and their values, as `get_params` gives them.

    Attributes
    ----------
    distributions : dict of str to optuna.distributions.BaseDistribution
        What Optuna draws, by its name there; of a dict's entry ``"parameter.key"``.

    Raises
    ------
    ValueError, TypeError
        If a name is none of a parameter, or a value is no distribution.
    """

    def __init__(self, space, known):
        if not isinstance(space, dict) or not space:
            raise ValueError(f"space must be a dict of at least one parameter, got {space!r}.")
        self.distributions, self._parts = {}, {}
        self._before = {name: known.get(name) for name in space}
        for name, given in space.items():
            _check_name(name, known, space)
            if isinstance(given, dict):
                _check_keys(name, given, known)
                for key, part in given.items():
                    self._add(f"{name}.{key}", name, key, part)
            else:
                self._add(name, name, None, given)

    def _add(self, label, name, key, given):
        distribution, value_of = _converted(label, given)
        self.distributions[label] = distribution
        self._parts[label] = name, key, value_of

    def params(self, drawn):
        """Parameters for `set_params`.

        Parameters
        ----------
        drawn : dict of str to object
            What Optuna drew from `distributions`. Entries of a dict are added to the one that the estimator has.
        """
        params, parts = {}, {}
        for label, value in drawn.items():
            name, key, value_of = self._parts[label]
            value = value if value_of is None else value_of(value)
            if key is None:
                params[name] = value
            else:
                parts.setdefault(name, {})[key] = value
        for name, part in parts.items():
            before = self._before[name]
            if is_dataclass(before):
                params[name] = replace(before, **part)
            else:
                params[name] = {**(before or {}), **part}
        return {name: params[name] for name in self._before}


class _Choice:
    """The value that a label of a categorical distribution stands for."""

    def __init__(self, labels, values):
        self.labels, self.values = labels, values

    def __call__(self, label):
        return self.values[self.labels.index(label)]


class _Quantile:
    """A quantile as the value of a distribution of scipy.stats."""

    def __init__(self, distribution):
        self.distribution = distribution

    def __call__(self, share):
        value = self.distribution.ppf(share)
        return int(value) if hasattr(self.distribution, "pmf") else float(value)


def _check_name(name, known, space):
    # a step that the space itself sets may have parameters that are not there yet
    if name in known or any(str(name).startswith(f"{other}__") for other in space):
        return
    raise ValueError(f"space has {name!r}, which is no parameter of the estimator{did_you_mean(name, known)}")


def _check_keys(name, given, known):
    if not given:
        raise ValueError(f"space[{name!r}] is an empty dict.")
    owner, _, last = name.rpartition("__")
    if last == "recipe" and (not owner or isinstance(known.get(owner), BaseTabularMLP)):
        recipes_in_effect((), given, None, True)  # refuses names that are none of a recipe's


def _converted(label, given):
    """A distribution of Optuna's, and what makes a value of what is drawn from it (None: nothing)."""
    distributions = import_optuna().distributions
    if isinstance(given, distributions.BaseDistribution):
        return given, None
    if isinstance(given, list | tuple | np.ndarray):
        values = given.tolist() if isinstance(given, np.ndarray) else [*given]
        if not values:
            raise ValueError(f"space[{label!r}] is empty.")
        labels = _labels(values)
        return distributions.CategoricalDistribution(labels), _Choice(labels, values)
    if hasattr(given, "ppf"):
        return _of_scipy(given, distributions)
    raise TypeError(
        f"space[{label!r}] must be a distribution of optuna.distributions or scipy.stats, or a list of values,"
        f" got {given!r}."
    )


def _labels(values):
    """Values as Optuna's storages can keep them, all different."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if all(isinstance(value, _PLAIN) for value in plain) and len(set(plain)) == len(plain):
        return plain
    labels = [repr(value) for value in values]
    if len(set(labels)) < len(labels):
        labels = [f"{i}: {label}" for i, label in enumerate(labels)]
    return labels


def _of_scipy(given, distributions):
    """Optuna's own distribution where it has the same, else quantiles."""
    kind = getattr(getattr(given, "dist", None), "name", None)
    low, high = given.support()
    if kind == "uniform":
        return distributions.FloatDistribution(float(low), float(high)), None
    if kind == "randint":
        return distributions.IntDistribution(int(low), int(high)), None
    if kind in ("loguniform", "reciprocal") and np.isclose(given.ppf(0.5), np.sqrt(low * high)):  # not shifted
        return distributions.FloatDistribution(float(low), float(high), log=True), None
    return distributions.FloatDistribution(_TAIL, 1 - _TAIL), _Quantile(given)
