"""Multilayer perceptrons for tables, a drop-in for scikit-learn's on a compiled engine."""

from .data.parquet import scan_parquet
from .data.sources import scan_npy
from .estimators.classifier import MLPClassifier
from .estimators.convolution import ConvClassifier, ConvRegressor
from .estimators.display import TrainingCurveDisplay
from .estimators.perceptron import Perceptron
from .estimators.regressor import MLPRegressor
from .estimators.sequences import RecurrentClassifier, RecurrentRegressor
from .estimators.tabular_classifier import TabularMLPClassifier
from .estimators.tabular_regressor import TabularMLPRegressor
from .interchange import from_sklearn, load, register_onnx_converters

__version__ = "0.1.0"

__all__ = [
    "ConvClassifier",
    "ConvRegressor",
    "MLPClassifier",
    "MLPRegressor",
    "Perceptron",
    "RecurrentClassifier",
    "RecurrentRegressor",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "TrainingCurveDisplay",
    "__version__",
    "from_sklearn",
    "load",
    "register_onnx_converters",
    "scan_npy",
    "scan_parquet",
]
