"""Experiments as TOML files: read, checked, overridden, written."""

import json
import os
import re
import tomllib
from contextlib import contextmanager

from ..estimators.parameters import did_you_mean

__all__ = ["ExperimentError", "check", "flat", "from_text", "naming_lines", "read_experiment", "to_toml"]

# A kind is a type, a list with the type of its entries, a dict of keys to kinds, or a tuple of texts that are allowed
SCHEMA = {
    "name": str,
    "metrics": [str],
    "seeds": [int],
    "data": {
        "path": str,
        "target": str,
        "drop": [str],
        "delimiter": str,
        "task": ("classification", "regression"),
    },
    "splits": {"folds": int, "held_out": float, "repeats": int, "seed": int},
    "estimator": {"name": str, "params": dict},
    "search": {"trials": int, "seed": int, "sampler": ("tpe", "random"), "space": dict},
}
DEFAULTS = {"splits": {"folds": 5, "repeats": 1, "seed": 0}, "seeds": [0]}
_NAMES = {str: "a text", int: "a whole number", float: "a number with a point", dict: "a table"}


class ExperimentError(ValueError):
    """A sentence about an experiment; `keys` are what it is about where the sentence does not name the line."""

    def __init__(self, said, keys=()):
        super().__init__(said)
        self.keys = [*keys]


@contextmanager
def naming_lines(path, overrides=()):
    """Say where in the file of an experiment, or in which override, the keys are that an error is about.

    Raises
    ------
    ExperimentError
        In place of one with keys.
    """
    try:
        yield
    except ExperimentError as error:
        if not error.keys:
            raise
        place = path
        if any(_keys_of(override.partition("=")[0]) == error.keys for override in overrides):
            place = f"-P {'.'.join(error.keys).removeprefix('estimator.params.')}"
        else:
            with open(path, encoding="utf-8") as file:
                line = _line(file.read(), error.keys)
            place = f"{path}, line {line}" if line else path
        raise ExperimentError(f"{place}: {error}") from error


def read_experiment(path, overrides=()):
    """An experiment from a file.

    Parameters
    ----------
    path : str
    overrides : iterable of str
        Such as "alpha=0.01", a parameter of the estimator, or "splits.folds=3". The value is TOML, or else a text.

    Returns
    -------
    experiment : dict

    Raises
    ------
    ExperimentError
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError as error:
        raise ExperimentError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise ExperimentError(f"{path} is no text in UTF-8.") from error
    return from_text(text, path, overrides)


def from_text(text, path, overrides=()):
    """The same of the text of a file; `path` is what errors call it."""
    try:
        experiment = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{path}: {error}.") from error
    check(experiment, lambda keys: f"{path}, line {_line(text, keys)}" if _line(text, keys) else path)
    for override in overrides:
        _override(experiment, override)
    if overrides:
        check(experiment, lambda keys: f"-P {'.'.join(keys)}")
    experiment.setdefault("name", os.path.splitext(os.path.basename(path))[0])
    experiment.setdefault("seeds", DEFAULTS["seeds"])
    splits = experiment.get("splits", {})
    experiment["splits"] = {
        key: value for key, value in DEFAULTS["splits"].items() if key != "folds" or "held_out" not in splits
    } | splits
    experiment["estimator"].setdefault("params", {})
    return experiment


def check(experiment, where):
    """Refuse what the schema does not have; `where` gives the place of keys for the sentence."""
    _check(experiment, SCHEMA, [], where)
    for keys in (["data"], ["data", "path"], ["data", "target"], ["estimator"], ["estimator", "name"]):
        inner = experiment
        for key in keys:
            if key not in inner:
                raise ExperimentError(f"{where(keys[:-1])}: {'.'.join(keys)} is missing.")
            inner = inner[key]
    splits = experiment.get("splits", {})
    for key, least in (("folds", 2), ("repeats", 1)):
        if splits.get(key, least) < least:
            raise ExperimentError(f"{where(['splits', key])}: splits.{key} must be at least {least}.")
    if not 0 < splits.get("held_out", 0.5) < 1:
        raise ExperimentError(f"{where(['splits', 'held_out'])}: splits.held_out must be between 0 and 1.")
    if "held_out" in splits and "folds" in splits:
        raise ExperimentError(f"{where(['splits', 'held_out'])}: splits must have folds or held_out, not both.")
    for key in ("metrics", "seeds"):
        if experiment.get(key) == []:
            raise ExperimentError(f"{where([key])}: {key} must have an entry.")
    if re.search(r"[^\w.-]", experiment.get("name", "")) or experiment.get("name", "a")[:1] in ("", "."):
        raise ExperimentError(f"{where(['name'])}: name must be of letters, digits, '.', '-' and '_'.")

    if experiment.get("search", {}).get("trials", 1) < 1:
        raise ExperimentError(f"{where(['search', 'trials'])}: search.trials must be at least 1.")
    _check_space(experiment.get("search", {}).get("space", {}), ["search", "space"], where)


def _check_space(space, keys, where):
    """Refuse what is no list of values, no range, and no table of these for a parameter that is a dict."""
    for key, given in space.items():
        at = [*keys, key]
        name, place = ".".join(at), where(at)
        if isinstance(given, list) and given:
            continue
        if not isinstance(given, dict) or not given:
            raise ExperimentError(f"{place}: {name} must be a list of values, or low and high, got {given!r}.")
        if not given.keys() & {"low", "high", "log"}:
            _check_space(given, at, where)
            continue
        if not {"low", "high"} <= given.keys() <= {"low", "high", "log"}:
            raise ExperimentError(f"{place}: {name} must have low and high, and may have log, got {given}.")
        low, high, log = given["low"], given["high"], given.get("log", False)
        if type(low) not in (int, float) or type(high) not in (int, float) or type(log) is not bool:
            raise ExperimentError(f"{place}: {name} must have numbers as low and high, and may have log = true.")
        if not low < high or log and low <= 0:
            raise ExperimentError(f"{place}: low must be below high in {name}, and above 0 with log.")


def _check(value, kind, keys, where):
    name = ".".join(keys)
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            raise ExperimentError(f"{where(keys)}: {name} must be a table, got {value!r}.")
        for key, part in value.items():
            if key not in kind:
                hint = did_you_mean(key, kind, f"; there are {', '.join(kind)}.")
                within = f" in [{name}]" if name else ""
                raise ExperimentError(f"{where([*keys, key])}: there is no key {key!r}{within}{hint}")
            _check(part, kind[key], [*keys, key], where)
    elif isinstance(kind, list):
        if not isinstance(value, list) or any(type(part) is not kind[0] for part in value):
            raise ExperimentError(f"{where(keys)}: {name} must be a list, each entry {_NAMES[kind[0]]}, got {value!r}.")
    elif isinstance(kind, tuple):
        if value not in kind:
            raise ExperimentError(f"{where(keys)}: {name} must be {' or '.join(kind)}, got {value!r}.")
    elif type(value) is not kind:
        raise ExperimentError(f"{where(keys)}: {name} must be {_NAMES[kind]}, got {value!r}.")


def _line(text, keys):
    """The number of the line that has a key, or the heading of its table; 0 if neither is found."""
    table, found = [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            table = [part.strip(" \"'") for part in heading[1].split(".")]
            full = table
        elif key := re.match(r"\s*([\w\-\"'. ]+?)\s*=", line):
            full = table + [part.strip(" \"'") for part in key[1].split(".")]
        else:
            continue
        if full == keys:
            return number
        if full == keys[: len(full)]:
            found = number
    return found


def _override(experiment, override):
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ExperimentError(f"-P {override}: must be NAME=VALUE.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    keys = _keys_of(name)
    for key in keys[:-1]:
        experiment = experiment.setdefault(key, {})
    experiment[keys[-1]] = value


def _keys_of(name):
    """The keys that an override names: those of the schema, or a parameter of the estimator."""
    keys = name.split(".")
    return keys if keys[0] in SCHEMA else ["estimator", "params", *keys]


def flat(table, prefix=""):
    """The values of nested tables by dotted names."""
    values = {}
    for key, value in table.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return values


def to_toml(table, heading=()):
    """An experiment as the text of a file."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    text = "".join(f"{line}\n" for line in lines)
    for key, value in table.items():
        if isinstance(value, dict):
            inner = (*heading, _key(key))
            text += f"\n[{'.'.join(inner)}]\n{to_toml(value, inner)}"
    return text


def _key(key):
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key)


def _value(value):
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_value(part)}' for key, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value)
    return repr(value) if isinstance(value, int | float) else str(value)  # dates
