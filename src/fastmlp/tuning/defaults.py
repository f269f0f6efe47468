"""What is searched where no space is given."""

from typing import Any

from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from ..estimators.base import BaseMLP
from ..estimators.perceptron import Perceptron
from ..estimators.planes import PlanesMixin
from ..estimators.sequences import SequencesMixin
from ..estimators.tabular_base import BaseTabularMLP
from ..training.recipes import Recipe
from .spaces import import_optuna

__all__ = ["default_space"]


def default_space(estimator: Any) -> dict[str, Any]:
    """The space that `TPESearchCV` searches by default.

    Parameters
    ----------
    estimator : estimator
        One of fastmlp's, or a Pipeline that ends in one.

    Returns
    -------
    space : dict of str to distribution or list
        As `TPESearchCV` takes it. Of MLPs: width, depth, activation, learning rate, size of batches, dropout and
        penalty, as far as the solver has them, in the ranges that are usual for tables [1]_. Of models of tables:
        entries of `recipe`, in the ranges of RealMLP's authors [2]_ with narrower layers beside theirs; what a `recipe`
        that is a dict has is left as it is.

    Raises
    ------
    TypeError
        If there is none.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Khrulkov, Babenko: Revisiting Deep Learning Models for Tabular Data, 2021.
    .. [2] Erickson et al.: TabArena: A Living Benchmark for Machine Learning on Tabular Data, 2025.
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return {f"{name}__{key}": part for key, part in default_space(last).items()}
    if isinstance(estimator, BaseTabularMLP):
        given = estimator.recipe if isinstance(estimator.recipe, dict) else {}
        recipe = _of_recipes(is_classifier(estimator))
        return {"recipe": {name: part for name, part in recipe.items() if name not in given}}
    if isinstance(estimator, BaseMLP):
        space = _of_mlp(estimator.solver)
        if isinstance(estimator, PlanesMixin):  # which layers fit depends on the shape of a row
            del space["hidden_layer_sizes"]
        elif isinstance(estimator, SequencesMixin):
            del space["activation"]
            sizes = [(width,) for width in (16, 32, 64, 128)]
            space |= {"hidden_layer_sizes": sizes, "cell": ["gru", "lstm"], "bidirectional": [False, True]}
        return space
    if isinstance(estimator, Perceptron):
        return {"penalty": [None, "l2", "l1", "elasticnet"], "alpha": _log(1e-7, 1e-2)}
    raise TypeError(f"space=None: there is no default space for {type(estimator).__name__}, give one.")


def _log(low, high):
    return import_optuna().distributions.FloatDistribution(low, high, log=True)


def _linear(low, high):
    return import_optuna().distributions.FloatDistribution(low, high)


def _of_mlp(solver):
    space = {
        "hidden_layer_sizes": [(width,) * depth for depth in (1, 2, 3) for width in (32, 64, 128, 256)],
        "activation": ["relu", "tanh"],
        "alpha": _log(1e-7, 1e-1),
    }
    if solver == "lbfgs":
        return space
    space["learning_rate_init"] = _log(1e-3, 0.3) if solver in ("sgd", "adagrad") else _log(1e-4, 1e-2)
    space["batch_size"] = [32, 64, 128, 256]
    space["dropout"] = _linear(0.0, 0.5)
    return space


def _of_recipes(classifies):
    space = {
        "hidden_layer_sizes": [(width,) * depth for depth in (2, 3, 4) for width in (64, 128, 256, 384)],
        "activation": ["mish", "selu"],
        "frequencies": [0, 8, 16, 32],
        "number_width": [3, 7, 15],
        "frequency_scale": _log(0.01, 50),
        "n_bins": [0, 16, 48],
        "piecewise_width": [4, 8, 12],
        "category_width": [4, 8, 16],
        "dropout": _linear(0.0, 0.5),
        "weight_decay": _log(0.001, 0.05),
        "learning_rate": _log(0.02, 0.3),
        "beta_2": _linear(0.95, 0.995),
        "first_rate": _log(0.3, 1.5),
        "scale_rate": _log(2, 10),
        "number_rate": _log(0.05, 0.3),
        "piecewise_rate": _log(0.1, 1),
    }
    if classifies:
        space["label_smoothing"] = [0.0, Recipe.label_smoothing / 4, Recipe.label_smoothing / 2, Recipe.label_smoothing]
    return space
