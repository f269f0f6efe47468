"""The network that a fit trains: new, or that of the call before."""

from itertools import pairwise

from ..engine import Network
from ..training.arrays import check_parameters, for_each
from .inputs import check_layers

__all__ = ["network_to_train", "network_plan"]


def network_plan(units, target, dtype, params, max_threads):
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
    """
    activation = params["activation"]
    dropout = (float(params["input_dropout"]), *map(float, for_each(params["dropout"], len(units) - 2)))
    return {
        "layers": units,
        "activation": activation if isinstance(activation, str) else tuple(activation),
        "loss": target.loss,
        "dtype": dtype,
        "loss_options": target.loss_options,
        "dropout": dropout if any(dropout) else None,
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
    units, dtype = plan["layers"], plan["dtype"]
    if given is not None:
        coefs, intercepts = check_parameters(*given, dtype)
        shapes = [coef.shape for coef in coefs]
        if shapes != list(pairwise(units)):
            raise ValueError(
                f"hidden_layer_sizes={units[1:-1]} with {units[0]} features and {units[-1]} outputs does not go on"
                f" from coefs_ of shapes {shapes}: set coefs_ to match, or fit anew with warm_start=False."
            )
    if kept is not None and kept[0] == plan:
        network = kept[1]
    else:
        check_layers(units, solver, dtype.itemsize)
        network = Network(**plan)
    if given is not None:
        own, given = network.coefs + network.intercepts, coefs + intercepts
        if any(a is not b for a, b in zip(own, given, strict=True)):
            # copied first: what the user assigned may be this network's own arrays in another order
            for array, values in zip(own, [values.copy() for values in given], strict=True):
                array[...] = values
    return network
