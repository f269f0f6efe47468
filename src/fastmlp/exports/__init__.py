"""Fitted models in forms that leave the process. The estimators have the public methods."""
