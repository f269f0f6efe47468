# Written by .ci/stubs.py

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from .. import _Rows, _Shaped
from .defaults import default_space as default_space

class TPESearchCV(BaseEstimator):
    estimator: Any
    space: Mapping[str, Any] | None
    n_trials: int | None
    timeout: float | None
    scoring: str | Callable[..., Any] | Sequence[str] | Mapping[str, Any] | None
    n_jobs: int | None
    refit: bool | str | Callable[..., int]
    cv: Any
    pruner: Any
    min_epochs: int | None
    storage: Any
    study_name: str
    random_state: int | np.random.RandomState | None
    verbose: bool | int
    error_score: float | Literal["raise"]
    return_train_score: bool
    best_estimator_: Any
    best_index_: int
    best_params_: dict[str, Any]
    best_score_: float
    cv_results_: dict[str, Any]
    feature_names_in_: NDArray[np.object_]
    multimetric_: bool
    n_splits_: int
    refit_time_: float
    scorer_: Any
    trials_: list[Any]
    def __init__(
        self,
        estimator: Any,
        space: Mapping[str, Any] | None = None,
        *,
        n_trials: int | None = 50,
        timeout: float | None = None,
        scoring: str | Callable[..., Any] | Sequence[str] | Mapping[str, Any] | None = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., int] = True,
        cv: Any = None,
        pruner: Any = "median",
        min_epochs: int | None = None,
        storage: Any = None,
        study_name: str = "fastmlp",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = 0,
        error_score: float | Literal["raise"] = ...,
        return_train_score: bool = False,
    ) -> None: ...
    def decision_function(self, X: _Rows) -> NDArray[np.floating[Any]]: ...
    def fit(self, X: _Rows, y: ArrayLike | _Shaped | None = None, **params: Any) -> Self: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def predict(self, X: _Rows) -> NDArray[Any]: ...
    def predict_log_proba(self, X: _Rows) -> NDArray[np.floating[Any]] | Any: ...
    def predict_proba(self, X: _Rows) -> NDArray[np.floating[Any]] | Any: ...
    def score(self, X: _Rows, y: ArrayLike | _Shaped | None = None, **params: Any) -> float: ...
    def set_params(self, **params: Any) -> Self: ...
