"""Experiments recorded in MLflow: ``pip install "fastmlp[tracking]"``."""

from .callback import MLflowCallback
from .provenance import arrays_digest, data_fingerprint, git_state, machine, own_source, versions

__all__ = ["MLflowCallback", "arrays_digest", "data_fingerprint", "git_state", "machine", "own_source", "versions"]


def _load_pyfunc(path):
    """The model in a file of fastmlp's; MLflow calls this for models that `MLflowCallback` has logged."""
    from ..interchange import load

    return load(path)
