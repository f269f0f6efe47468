"""Searches for hyperparameters on Optuna: ``pip install "fastmlp[tuning]"``."""

from .defaults import default_space
from .search import TPESearchCV

__all__ = ["TPESearchCV", "default_space"]
