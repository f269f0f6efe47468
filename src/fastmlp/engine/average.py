"""The average of networks that share nothing but their inputs and outputs."""

import math

import numpy as np

from .network import Network

__all__ = ["Average"]


class Average:
    """Networks of any layers, and the weighted average of their outputs.

    The average is added up in float32 in the order of the members, each weight divided by the largest, and then
    multiplied by the largest: members of equal weights are added up as they are.

    Parameters
    ----------
    members : sequence of (layers, parameters, weight)
        Layers as `Network` takes them, all of the same inputs and number of outputs; arrays of float32 as
        `Network.parameters` has them, which are copied; a weight of at least 0. Members of weight 0 have no part.
    loss : str
        It brings the output activation along.
    max_threads : int, callable or None, default=None
        As `Network` takes it.

    Raises
    ------
    ValueError
        If the weights do not add up to 1, or the members do not go together.
    """

    def __init__(self, members, loss, max_threads=None):
        weights = [float(weight) for _, _, weight in members]
        if not all(weight >= 0 for weight in weights) or not math.isclose(sum(weights), 1, rel_tol=1e-6):
            raise ValueError(f"members: weights of at least 0 that add up to 1, not {weights}")
        members = [member for member, weight in zip(members, weights, strict=True) if weight > 0]
        largest = max(weights)
        self.share = np.float32(largest)
        self.ratios = [np.float32(weight / largest) for weight in weights if weight > 0]
        self.networks = [Network(layers, None, loss, np.float32, max_threads=max_threads) for layers, _, _ in members]
        shapes = set()
        for network, (layers, parameters, _) in zip(self.networks, members, strict=True):
            shapes.add((layers[0], network.layer_units[-1]))
            for (_, own, _), given in zip(network.parameters, parameters, strict=True):
                own[...] = given
        if len(shapes) > 1:
            raise ValueError("members: all of the same inputs and number of outputs")

    def __call__(self, X, codes):
        """Outputs for numbers and codes, float32 of shape (n_rows, n_outputs)."""
        total = None
        for network, ratio in zip(self.networks, self.ratios, strict=True):
            outputs = network.predict(X, codes=codes)
            if ratio != 1:
                outputs *= ratio
            total = outputs if total is None else np.add(total, outputs, out=total)
        if self.share != 1:
            total *= self.share
        return total
