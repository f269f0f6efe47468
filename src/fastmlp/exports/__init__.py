"""Fitted models in forms that leave the process. The estimators have the public methods."""

#: What of fastmlp a skops file may have in it: for ``skops.io.load(trusted=...)`` and MLflow's ``skops_trusted_types``.
SKOPS_TRUSTED_TYPES = [
    "fastmlp.estimators.classifier.MLPClassifier",
    "fastmlp.estimators.perceptron.Perceptron",
    "fastmlp.estimators.regressor.MLPRegressor",
    "fastmlp.training.optimizers.Optimizer",
    "fastmlp.training.schedules.Schedule",
]
