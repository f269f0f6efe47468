"""Fitted models in forms that leave the process. The estimators have the public methods."""

# Estimators that files hold, by the names that they have there
ESTIMATORS = {
    "ConvClassifier": "fastmlp.estimators.convolution.ConvClassifier",
    "ConvRegressor": "fastmlp.estimators.convolution.ConvRegressor",
    "MLPClassifier": "fastmlp.estimators.classifier.MLPClassifier",
    "MLPRegressor": "fastmlp.estimators.regressor.MLPRegressor",
    "Perceptron": "fastmlp.estimators.perceptron.Perceptron",
    "RecurrentClassifier": "fastmlp.estimators.sequences.RecurrentClassifier",
    "RecurrentRegressor": "fastmlp.estimators.sequences.RecurrentRegressor",
    "TabularMLPClassifier": "fastmlp.estimators.tabular_classifier.TabularMLPClassifier",
    "TabularMLPRegressor": "fastmlp.estimators.tabular_regressor.TabularMLPRegressor",
}
#: What of fastmlp a skops file may have in it: for ``skops.io.load(trusted=...)`` and MLflow's ``skops_trusted_types``.
SKOPS_TRUSTED_TYPES = [
    *ESTIMATORS.values(),
    "fastmlp.training.optimizers.Optimizer",
    "fastmlp.training.schedules.Schedule",
    "fastmlp.data.tables.TableEncoder",
    "fastmlp.training.ensembles.Member",
    "fastmlp.training.recipes.Recipe",
]
