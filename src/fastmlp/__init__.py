"""Multilayer perceptrons for tables, a drop-in for scikit-learn's on a compiled engine."""

from .estimators.classifier import MLPClassifier
from .estimators.interop import from_sklearn
from .estimators.perceptron import Perceptron
from .estimators.regressor import MLPRegressor

__version__ = "0.1.0"

__all__ = ["MLPClassifier", "MLPRegressor", "Perceptron", "__version__", "from_sklearn"]
