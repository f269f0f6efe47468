"""Fitted attributes: which there are, and what kind of value each has."""

from typing import NamedTuple

__all__ = [
    "OF_CLASSIFIER",
    "OF_EPOCHS",
    "OF_MLP",
    "OF_PERCEPTRON",
    "OF_TABULAR_CLASSIFIER",
    "OF_TABULAR_REGRESSOR",
    "Attribute",
]


class Attribute(NamedTuple):
    """One fitted attribute.

    Parameters
    ----------
    kind : str
        What its value is, by which `exports.states` makes data of it and `rebuilding` checks what comes back.
    needed : bool, default=False
        Whether every fitted model has it, whatever the version.
    of_epochs : bool, default=False
        Whether the mini-batch solvers alone set it.
    """

    kind: str
    needed: bool = False
    of_epochs: bool = False


# In the order in which files have them
OF_MLP = {
    "n_features_in_": Attribute("count", needed=True),
    "n_outputs_": Attribute("count", needed=True),
    "n_layers_": Attribute("count", needed=True),
    "n_iter_": Attribute("count"),
    "t_": Attribute("count"),
    "_no_improvement_count": Attribute("count", of_epochs=True),
    "loss_": Attribute("number"),
    "best_loss_": Attribute("number", of_epochs=True),
    "best_validation_score_": Attribute("number", of_epochs=True),
    "loss_curve_": Attribute("curve", of_epochs=True),
    "learning_rate_curve_": Attribute("curve", of_epochs=True),
    "validation_scores_": Attribute("curve", of_epochs=True),
    "validation_loss_curve_": Attribute("curve", of_epochs=True),
    "coefs_": Attribute("parameters", needed=True),
    "intercepts_": Attribute("parameters", needed=True),
    "_best_coefs": Attribute("parameters", of_epochs=True),
    "_best_intercepts": Attribute("parameters", of_epochs=True),
    "out_activation_": Attribute("name", needed=True),
    "feature_names_in_": Attribute("feature names"),
    "_scored": Attribute("scoring", of_epochs=True),  # what the scores are: the scoring, and whether of a given set
    "_trained_on": Attribute("description", of_epochs=True),  # what the data are told apart by
    "_optimizer": Attribute("optimizer", of_epochs=True),
}
OF_EPOCHS = [name for name, attribute in OF_MLP.items() if attribute.of_epochs]
OF_CLASSIFIER = OF_MLP | {"classes_": Attribute("labels"), "_label_binarizer": Attribute("binarizer")}
OF_PERCEPTRON = {
    "coef_": Attribute("array", needed=True),
    "intercept_": Attribute("array", needed=True),
    "classes_": Attribute("labels", needed=True),
    "n_features_in_": Attribute("count", needed=True),
    "n_iter_": Attribute("count"),
    "t_": Attribute("real count"),
    "feature_names_in_": Attribute("feature names"),
}
OF_TABULAR = {
    "n_features_in_": Attribute("count", needed=True),
    "n_outputs_": Attribute("count", needed=True),
    "n_iter_": Attribute("count"),
    "oof_score_": Attribute("number"),
    "feature_names_in_": Attribute("feature names"),
    "encoder_": Attribute("encoder", needed=True),
    "members_": Attribute("members", needed=True),
    "_loss": Attribute("name", needed=True),
}
OF_TABULAR_CLASSIFIER = OF_TABULAR | {"classes_": Attribute("labels", needed=True)}
OF_TABULAR_REGRESSOR = OF_TABULAR | {
    "_one": Attribute("flag", needed=True),  # whether y had one dimension
    # of each output: how y was standardised, and its range
    "_center": Attribute("array", needed=True),
    "_scale": Attribute("array", needed=True),
    "_least": Attribute("array", needed=True),
    "_greatest": Attribute("array", needed=True),
}
