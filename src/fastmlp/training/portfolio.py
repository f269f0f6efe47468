"""The recipes that members of an ensemble are trained by, in their order.

Chosen once on a part of open sets of data, see bench/results/portfolio.md, from the search space of RealMLP's authors
and embeddings of both kinds.
"""

from .recipes import Recipe

__all__ = ["CLASSIFICATION", "REGRESSION"]

CLASSIFICATION = (Recipe(),)
REGRESSION = (Recipe(activation="mish", learning_rate=0.2),)
