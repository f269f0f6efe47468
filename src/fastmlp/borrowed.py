"""What fastmlp takes from scikit-learn that is not in its public interface.

No other module imports private names of scikit-learn's (`tests/test_rooms.py`). What stands here may change with any of
its versions; each name has been seen in 1.7.0, 1.7.2, 1.8.0 and 1.9.1.
"""

from sklearn.base import _fit_context as fit_context
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _fit_and_score as fit_and_score
from sklearn.model_selection._validation import _insert_error_scores as insert_error_scores
from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures as warn_or_raise_about_fit_failures
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_partial_fit_first_call
from sklearn.utils.optimize import _check_optimize_result as check_optimize_result
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "BaseSearchCV",
    "Interval",
    "InvalidParameterError",
    "LinearClassifierMixin",
    "Options",
    "SparseCoefMixin",
    "StrOptions",
    "check_method_params",
    "check_optimize_result",
    "check_partial_fit_first_call",
    "check_sample_weight",
    "fit_and_score",
    "fit_context",
    "insert_error_scores",
    "mlp_optimizers",
    "safe_split",
    "validate_parameter_constraints",
    "warn_or_raise_about_fit_failures",
]


def mlp_optimizers():
    """{solver: the class that scikit-learn's MLP keeps as `_optimizer`}; imports scikit-learn's networks."""
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    return {"adam": AdamOptimizer, "sgd": SGDOptimizer}
