# Written by .ci/stubs.py

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import MLPClassifier, MLPRegressor, _Activation, _Callback, _Initial, _Path, _Rows, _Schedule, _Shaped, _Solver

class DaskMLPClassifier(MLPClassifier):
    client: Any
    n_replicas: int
    n_inner_steps: int | None
    strategy: Literal["full_batch", "local_sgd"]
    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] | NDArray[Any] = (100,),
        activation: _Activation | list[str] | tuple[str, ...] = "relu",
        *,
        client: Any = None,
        n_replicas: int = 4,
        n_inner_steps: int | None = None,
        strategy: Literal["full_batch", "local_sgd"] = "local_sgd",
        solver: _Solver = "adam",
        alpha: float = 0.0001,
        batch_size: Literal["auto"] | int = "auto",
        learning_rate: Literal["adaptive", "constant", "invscaling"] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 0.0001,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        loss: Literal["focal", "hinge", "log_loss"] = "log_loss",
        class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
        focal_gamma: float = 2.0,
        weight_init: _Initial = "auto",
        dropout: float | Sequence[float] | NDArray[Any] = 0.0,
        input_dropout: float = 0.0,
        weight_decay: float | None = None,
        max_norm: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        lr_schedule: _Schedule | Callable[..., float] | None = None,
        lr_schedule_params: Mapping[str, Any] | None = None,
        warmup: int | float = 0,
        scoring: str | Callable[..., Any] | None = None,
        callbacks: _Callback | Sequence[_Callback] | None = None,
        dtype: Literal["float32", "float64"] | type[np.float32] | type[np.float64] | np.dtype[Any] | None = None,
        n_jobs: int | None = None,
        checkpoint_path: _Path | None = None,
        checkpoint_every: int | timedelta = 1,
    ) -> None: ...
    def decision_function(self, X: Any) -> Any: ...
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def input_gradients(self, X: Any, *, target: ArrayLike | None = None, raw_score: bool = False) -> Any: ...
    def integrated_gradients(
        self,
        X: Any,
        *,
        baseline: ArrayLike | None = None,
        target: ArrayLike | None = None,
        raw_score: bool = False,
        n_steps: int = 50,
    ) -> Any: ...
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: ArrayLike | None = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def predict(self, X: Any) -> Any: ...
    def predict_log_proba(self, X: Any) -> Any: ...
    def predict_proba(self, X: Any) -> Any: ...
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float: ...
    def to_local(self) -> MLPClassifier: ...

class DaskMLPRegressor(MLPRegressor):
    client: Any
    n_replicas: int
    n_inner_steps: int | None
    strategy: Literal["full_batch", "local_sgd"]
    def __init__(
        self,
        loss: Literal[
            "absolute_error", "gamma", "huber", "log_cosh", "poisson", "quantile", "squared_error", "tweedie"
        ] = "squared_error",
        hidden_layer_sizes: int | Sequence[int] | NDArray[Any] = (100,),
        activation: _Activation | list[str] | tuple[str, ...] = "relu",
        *,
        client: Any = None,
        n_replicas: int = 4,
        n_inner_steps: int | None = None,
        strategy: Literal["full_batch", "local_sgd"] = "local_sgd",
        solver: _Solver = "adam",
        alpha: float = 0.0001,
        batch_size: Literal["auto"] | int = "auto",
        learning_rate: Literal["adaptive", "constant", "invscaling"] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 0.0001,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        quantile: float | Sequence[float] | NDArray[Any] = 0.5,
        sort_quantiles: bool = False,
        huber_delta: float = 1.0,
        tweedie_power: float = 1.5,
        weight_init: _Initial = "auto",
        dropout: float | Sequence[float] | NDArray[Any] = 0.0,
        input_dropout: float = 0.0,
        weight_decay: float | None = None,
        max_norm: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        lr_schedule: _Schedule | Callable[..., float] | None = None,
        lr_schedule_params: Mapping[str, Any] | None = None,
        warmup: int | float = 0,
        scoring: str | Callable[..., Any] | None = None,
        callbacks: _Callback | Sequence[_Callback] | None = None,
        dtype: Literal["float32", "float64"] | type[np.float32] | type[np.float64] | np.dtype[Any] | None = None,
        n_jobs: int | None = None,
        checkpoint_path: _Path | None = None,
        checkpoint_every: int | timedelta = 1,
    ) -> None: ...
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def input_gradients(self, X: Any, *, target: ArrayLike | None = None, raw_score: bool = False) -> Any: ...
    def integrated_gradients(
        self,
        X: Any,
        *,
        baseline: ArrayLike | None = None,
        target: ArrayLike | None = None,
        raw_score: bool = False,
        n_steps: int = 50,
    ) -> Any: ...
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def predict(self, X: Any) -> Any: ...
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float: ...
    def to_local(self) -> MLPRegressor: ...
