"""The network that a fit trains: new, or that of the call before."""

from itertools import pairwise

import numpy as np

from ..engine import Network
from ..engine.architecture import has_units, weight_shapes
from ..training.arrays import check_parameters, for_each
from .inputs import check_layers

__all__ = ["network_to_train", "network_plan"]


def network_plan(units, target, dtype, params, max_threads, layers=None, augmentation=None):
    """The arguments of a Network.

    Parameters
    ----------
    units : tuple of int
        Features, hidden layers, outputs.
    target : Target
    dtype : numpy.dtype
    params : mapping
        An estimator's activation, dropout and input_dropout, plain.
    max_threads : int or None
    layers : tuple of layers, default=None
        Inputs and layers in place of dense ones; the units are then those of the layers that have some.
    augmentation : Augmentation, default=None
        How rows are changed in training.
    """
    activation = params["activation"]
    dropout = (float(params["input_dropout"]), *map(float, for_each(params["dropout"], len(units) - 2)))
    if layers is not None:
        rates = iter(dropout[1:])
        dropout = (dropout[0], *(next(rates) if has_units(layer) else 0.0 for layer in layers[1:-1]))
        activation = None
    return {
        "layers": units if layers is None else layers,
        "activation": activation if activation is None or isinstance(activation, str) else tuple(activation),
        "loss": target.loss,
        "dtype": dtype,
        "loss_options": target.loss_options,
        "dropout": dropout if any(dropout) else None,
        "augmentation": augmentation,
        "max_threads": max_threads,
    }


def network_to_train(plan, solver, given=None, kept=None):
    """A network of a plan.

    Parameters
    ----------
    plan : dict
        As `network_plan` gives it.
    solver : str
        It decides how much memory training takes.
    given : tuple of (list of array-like, list of array-like), default=None
        `coefs_` and `intercepts_`, as the user left them, to go on from. None leaves the parameters to be drawn.
    kept : tuple of (dict, Network, ...), default=None
        The plan and the network of the call before, which is taken if the plan is the same.

    Raises
    ------
    ValueError
        If the parameters are not of the plan, or if the network is too large for this machine.
    """
    layers, dtype = plan["layers"], plan["dtype"]
    by_units = plan["activation"] is not None
    weights = None if by_units else weight_shapes(layers)
    shapes = list(pairwise(layers)) if by_units else [shape for shape, _ in weights]
    if by_units:
        described = f"hidden_layer_sizes={layers[1:-1]} with {layers[0]} features and {layers[-1]} outputs"
    else:
        described = f"layers with {layers[0].n_features} features and {layers[-1].units} outputs"
    if given is not None:
        found = [np.shape(coef) for coef in given[0]]
        if by_units or found == shapes:
            coefs, intercepts = check_parameters(*given, dtype, weights)
        if found != shapes:
            raise ValueError(
                f"{described} does not go on from coefs_ of shapes {found}: set coefs_ to match, or fit anew with"
                " warm_start=False."
            )
    if kept is not None and kept[0] == plan and list(map(type, kept[0]["layers"])) == list(map(type, layers)):
        network = kept[1]
    else:
        check_layers(shapes, described, solver, dtype.itemsize)
        network = Network(**plan)
    if given is not None:
        own, given = network.coefs + network.intercepts, coefs + intercepts
        if any(a is not b for a, b in zip(own, given, strict=True)):
            # copied first: what the user assigned may be this network's own arrays in another order
            for array, values in zip(own, [values.copy() for values in given], strict=True):
                array[...] = values
    return network
