"""The estimators of tables made of data that anybody may have written: every value is checked."""

from dataclasses import fields

import numpy as np

from ..data.tables import TableEncoder
from ..engine.architecture import places
from ..exports.files import RefusedError
from ..training.documents import are_arrays, is_count, is_number, require
from ..training.ensembles import Member
from ..training.recipes import Recipe, layers_for
from .inputs import hidden_units

__all__ = ["recipe_of", "rebuild_table"]

_MEMBER = {field.name.removesuffix("_") for field in fields(Member)}


def recipe_of(values):
    """The recipe of a dict of its fields.

    Raises
    ------
    RefusedError
        If it has fields of a later version.
    ValueError
        If a value is refused.
    """
    known = {field.name for field in fields(Recipe)}
    if unknown := values.keys() - known:
        raise RefusedError(f"was written by a newer version: recipes have no {', '.join(sorted(unknown))} here.")
    return Recipe(**values)


def rebuild_table(estimator, fitted):
    """Give an estimator its fitted attributes.

    Parameters
    ----------
    estimator : BaseTabularMLP
        Not fitted.
    fitted : dict of str to object
        Its fitted attributes as data, whose kinds `rebuilding` has checked; they become what they were, in place.

    Raises
    ------
    RefusedError, ValueError, TypeError, KeyError
        If they are not those of one model.
    """
    encoder = fitted["encoder_"] = _encoder(estimator, fitted["encoder_"])
    n_outputs, n_features = fitted["n_outputs_"], len(encoder.columns_)
    require(fitted["n_features_in_"] == n_features, f"n_features_in_ is {fitted['n_features_in_']}, not {n_features}")
    if "classes_" in fitted:
        classes = fitted["classes_"]
        fits = isinstance(classes, np.ndarray) and len(classes) == n_outputs
        require(fits, f"classes_ are not those of {n_outputs} outputs")
    else:
        _check_units(fitted, n_outputs)
    require(fitted["_loss"] in estimator._parameter_constraints["loss"][0].options, f"_loss is {fitted['_loss']!r}")
    members = fitted["members_"]
    require(isinstance(members, list) and members, "it has no members_")
    fitted["members_"] = [_member(number, member, encoder, n_outputs) for number, member in enumerate(members)]
    estimator._max_threads()  # refuses what is no number of jobs
    vars(estimator).update(fitted)
    estimator._quantile_ranks  # noqa: B018 - refuses levels of another number of outputs
    estimator._average = estimator._average_of_members()  # which looks at the weights and at the layers' own rules


def _encoder(estimator, state):
    """The encoder of an estimator's table."""
    require(state.keys() == {"names", "columns"}, f"encoder_ has {sorted(state)}")
    by = TableEncoder(categorical_features=estimator.categorical_features, estimator=type(estimator).__name__)
    return TableEncoder.from_state(by.state() | state)


def _check_units(fitted, n_outputs):
    """Refuse what does not standardise the values of these outputs."""
    for name in ("_center", "_scale", "_least", "_greatest"):
        array = fitted[name]
        fits = array.dtype == np.float64 and array.shape == (n_outputs,) and np.isfinite(array).all()
        require(fits, f"{name} is not of {n_outputs} finite numbers")
    require((fitted["_scale"] > 0).all(), "_scale is not positive")
    require(not fitted["_one"] or n_outputs == 1, f"_one is true, but n_outputs_ is {n_outputs}")


def _member(number, member, encoder, n_outputs):
    """A member whose parameters are those of its recipe's layers; nothing of the size of a claim is allocated."""
    who = f"members_[{number}]"
    require(member.keys() == _MEMBER, f"{who} has {sorted(member)}")
    recipe, parameters = recipe_of(member["recipe"]), member["parameters"]
    of_floats = are_arrays(parameters, "f") and all(array.dtype == np.float32 for array in parameters)
    require(of_floats, f"{who} has parameters that are not arrays of float32")
    require(len(recipe.hidden_layer_sizes) < len(parameters), f"{who} has fewer parameters than layers")
    hidden_units(recipe.hidden_layer_sizes)
    (inputs, *layers), _ = layers_for(recipe, encoder, n_outputs)
    described = [shape for place in places(inputs, layers) for shape in place.parameters]
    expected = [(shape.rows, shape.columns) if shape.shrinks else (shape.columns,) for shape in described]
    shapes = [array.shape for array in parameters]
    require(shapes == expected, f"{who} has parameters of shapes {shapes}, by its recipe {expected}")
    curves = member["loss_curve"], member["validation_scores"]
    require(are_arrays(list(curves), "f", ndim=1), f"{who} has no curves")
    losses, scores = (curve.tolist() for curve in curves)
    best, weight = member["best_epoch"], member["weight"]
    require(
        is_count(best) and 1 <= best <= len(losses) and len(scores) <= len(losses), f"{who} has best_epoch {best!r}"
    )
    require(is_number(weight), f"{who} has weight {weight!r}")
    return Member(recipe, parameters, losses, scores, best, weight)
