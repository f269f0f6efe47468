# Written by .ci/stubs.py
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from .data.parquet import scan_parquet as scan_parquet
from .data.sources import Source
from .data.sources import scan_npy as scan_npy
from .estimators.display import TrainingCurveDisplay as TrainingCurveDisplay
from .interchange import from_sklearn as from_sklearn
from .interchange import load as load
from .interchange import register_onnx_converters as register_onnx_converters
from .training.recipes import Recipe

class _Shaped(Protocol):  # sparse matrices, frames
    @property
    def shape(self) -> tuple[Any, ...]: ...

_Rows = ArrayLike | _Shaped | Source | Mapping[str, Any] | Sequence[Mapping[str, Any]]
_Path = str | os.PathLike[str]
_Callback = Callable[[Any, int, dict[str, Any]], Any]
_Activation = Literal[
    "elu",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "identity",
    "leaky_relu",
    "logistic",
    "mish",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "tanh",
]
_Schedule = Literal["adaptive", "constant", "cosine", "exponential", "invscaling", "one_cycle", "plateau", "step"]
_Solver = Literal["adagrad", "adam", "adamw", "lbfgs", "lion", "nadam", "rmsprop", "schedule_free_adamw", "sgd"]
_Initial = Literal[
    "auto", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "orthogonal"
]

__version__: str

class ConvClassifier(MLPClassifier):
    layers: Literal["auto"] | Sequence[tuple[Any, ...]]
    data: Literal["images", "series"]
    input_shape: Sequence[int] | None
    augmentation: Mapping[str, Any] | None
    input_shape_: tuple[int, ...]
    def __init__(
        self,
        layers: Literal["auto"] | Sequence[tuple[Any, ...]] = "auto",
        activation: _Activation | list[str] | tuple[str, ...] = "relu",
        *,
        data: Literal["images", "series"] = "images",
        input_shape: Sequence[int] | None = None,
        augmentation: Mapping[str, Any] | None = None,
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

class ConvRegressor(MLPRegressor):
    layers: Literal["auto"] | Sequence[tuple[Any, ...]]
    data: Literal["images", "series"]
    input_shape: Sequence[int] | None
    augmentation: Mapping[str, Any] | None
    input_shape_: tuple[int, ...]
    def __init__(
        self,
        loss: Literal[
            "absolute_error", "gamma", "huber", "log_cosh", "poisson", "quantile", "squared_error", "tweedie"
        ] = "squared_error",
        layers: Literal["auto"] | Sequence[tuple[Any, ...]] = "auto",
        activation: _Activation | list[str] | tuple[str, ...] = "relu",
        *,
        data: Literal["images", "series"] = "images",
        input_shape: Sequence[int] | None = None,
        augmentation: Mapping[str, Any] | None = None,
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

class MLPClassifier(ClassifierMixin, BaseEstimator):
    hidden_layer_sizes: int | Sequence[int] | NDArray[Any]
    activation: _Activation | list[str] | tuple[str, ...]
    solver: _Solver
    alpha: float
    batch_size: Literal["auto"] | int
    learning_rate: Literal["adaptive", "constant", "invscaling"]
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int | float
    max_fun: int
    loss: Literal["focal", "hinge", "log_loss"]
    class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None
    label_smoothing: float
    focal_gamma: float
    weight_init: _Initial
    dropout: float | Sequence[float] | NDArray[Any]
    input_dropout: float
    weight_decay: float | None
    max_norm: float | None
    clip_norm: float | None
    clip_value: float | None
    lr_schedule: _Schedule | Callable[..., float] | None
    lr_schedule_params: Mapping[str, Any] | None
    warmup: int | float
    scoring: str | Callable[..., Any] | None
    callbacks: _Callback | Sequence[_Callback] | None
    dtype: Literal["float32", "float64"] | type[np.float32] | type[np.float64] | np.dtype[Any] | None
    n_jobs: int | None
    checkpoint_path: _Path | None
    checkpoint_every: int | timedelta
    n_features_in_: int
    n_outputs_: int
    n_layers_: int
    n_iter_: int
    t_: int
    loss_: float
    best_loss_: float | None
    best_validation_score_: float | None
    loss_curve_: list[float]
    learning_rate_curve_: list[float]
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float]
    coefs_: list[NDArray[Any]]
    intercepts_: list[NDArray[Any]]
    out_activation_: str
    feature_names_in_: NDArray[np.object_]
    classes_: NDArray[Any] | Any
    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] | NDArray[Any] = (100,),
        activation: _Activation | list[str] | tuple[str, ...] = "relu",
        *,
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
    def decision_function(self, X: _Rows) -> NDArray[np.floating[Any]]: ...
    def fit(
        self,
        X: _Rows,
        y: ArrayLike | _Shaped | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def input_gradients(
        self, X: _Rows, *, target: ArrayLike | None = None, raw_score: bool = False
    ) -> NDArray[np.floating[Any]]: ...
    def integrated_gradients(
        self,
        X: _Rows,
        *,
        baseline: ArrayLike | None = None,
        target: ArrayLike | None = None,
        raw_score: bool = False,
        n_steps: int = 50,
    ) -> NDArray[np.floating[Any]]: ...
    def partial_fit(
        self,
        X: _Rows,
        y: ArrayLike | _Shaped,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def predict(self, X: _Rows) -> NDArray[Any]: ...
    def predict_log_proba(self, X: _Rows) -> NDArray[np.floating[Any]] | Any: ...
    def predict_proba(self, X: _Rows) -> NDArray[np.floating[Any]] | Any: ...
    def predict_to(self, source: Source, path: _Path, method: str = "predict") -> None: ...
    def save(self, path: _Path) -> None: ...
    def score(
        self, X: _Rows, y: ArrayLike | _Shaped | None = None, sample_weight: ArrayLike | None = None
    ) -> float: ...
    def set_params(self, **params: Any) -> Self: ...
    def to_c(self, path: _Path | None = None, *, name: str = "fastmlp", dtype: str = "float32") -> str | None: ...
    def to_onnx(self, *, dtype: str = "float32", opset: int = 18) -> Any: ...
    def to_sklearn(self) -> Any: ...

class MLPRegressor(RegressorMixin, BaseEstimator):
    loss: Literal["absolute_error", "gamma", "huber", "log_cosh", "poisson", "quantile", "squared_error", "tweedie"]
    hidden_layer_sizes: int | Sequence[int] | NDArray[Any]
    activation: _Activation | list[str] | tuple[str, ...]
    solver: _Solver
    alpha: float
    batch_size: Literal["auto"] | int
    learning_rate: Literal["adaptive", "constant", "invscaling"]
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int | float
    max_fun: int
    quantile: float | Sequence[float] | NDArray[Any]
    sort_quantiles: bool
    huber_delta: float
    tweedie_power: float
    weight_init: _Initial
    dropout: float | Sequence[float] | NDArray[Any]
    input_dropout: float
    weight_decay: float | None
    max_norm: float | None
    clip_norm: float | None
    clip_value: float | None
    lr_schedule: _Schedule | Callable[..., float] | None
    lr_schedule_params: Mapping[str, Any] | None
    warmup: int | float
    scoring: str | Callable[..., Any] | None
    callbacks: _Callback | Sequence[_Callback] | None
    dtype: Literal["float32", "float64"] | type[np.float32] | type[np.float64] | np.dtype[Any] | None
    n_jobs: int | None
    checkpoint_path: _Path | None
    checkpoint_every: int | timedelta
    n_features_in_: int
    n_outputs_: int
    n_layers_: int
    n_iter_: int
    t_: int
    loss_: float
    best_loss_: float | None
    best_validation_score_: float | None
    loss_curve_: list[float]
    learning_rate_curve_: list[float]
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float]
    coefs_: list[NDArray[Any]]
    intercepts_: list[NDArray[Any]]
    out_activation_: str
    feature_names_in_: NDArray[np.object_]
    def __init__(
        self,
        loss: Literal[
            "absolute_error", "gamma", "huber", "log_cosh", "poisson", "quantile", "squared_error", "tweedie"
        ] = "squared_error",
        hidden_layer_sizes: int | Sequence[int] | NDArray[Any] = (100,),
        activation: _Activation | list[str] | tuple[str, ...] = "relu",
        *,
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
        X: _Rows,
        y: ArrayLike | _Shaped | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def input_gradients(
        self, X: _Rows, *, target: ArrayLike | None = None, raw_score: bool = False
    ) -> NDArray[np.floating[Any]]: ...
    def integrated_gradients(
        self,
        X: _Rows,
        *,
        baseline: ArrayLike | None = None,
        target: ArrayLike | None = None,
        raw_score: bool = False,
        n_steps: int = 50,
    ) -> NDArray[np.floating[Any]]: ...
    def partial_fit(
        self,
        X: _Rows,
        y: ArrayLike | _Shaped,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self: ...
    def predict(self, X: _Rows) -> NDArray[Any]: ...
    def predict_to(self, source: Source, path: _Path, method: str = "predict") -> None: ...
    def save(self, path: _Path) -> None: ...
    def score(
        self, X: _Rows, y: ArrayLike | _Shaped | None = None, sample_weight: ArrayLike | None = None
    ) -> float: ...
    def set_params(self, **params: Any) -> Self: ...
    def to_c(self, path: _Path | None = None, *, name: str = "fastmlp", dtype: str = "float32") -> str | None: ...
    def to_onnx(self, *, dtype: str = "float32", opset: int = 18) -> Any: ...
    def to_sklearn(self) -> Any: ...

class Perceptron(ClassifierMixin, BaseEstimator):
    penalty: Literal["elasticnet", "l1", "l2"] | None
    alpha: float
    l1_ratio: float
    fit_intercept: bool
    max_iter: int
    tol: float | None
    shuffle: bool
    verbose: bool | int
    eta0: float
    n_jobs: int | None
    random_state: int | np.random.RandomState | None
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int | float
    class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None
    warm_start: bool
    coef_: NDArray[Any]
    intercept_: NDArray[Any]
    classes_: NDArray[Any]
    n_features_in_: int
    n_iter_: int
    t_: float
    feature_names_in_: NDArray[np.object_]
    def __init__(
        self,
        *,
        penalty: Literal["elasticnet", "l1", "l2"] | None = None,
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 0.001,
        shuffle: bool = True,
        verbose: bool | int = 0,
        eta0: float = 1.0,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | float = 5,
        class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None = None,
        warm_start: bool = False,
    ) -> None: ...
    def decision_function(self, X: _Rows) -> NDArray[np.floating[Any]]: ...
    def fit(
        self,
        X: _Rows,
        y: ArrayLike | _Shaped,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def partial_fit(
        self, X: _Rows, y: ArrayLike | _Shaped, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self: ...
    def predict(self, X: _Rows) -> NDArray[Any]: ...
    def save(self, path: _Path) -> None: ...
    def score(self, X: _Rows, y: ArrayLike | _Shaped, sample_weight: ArrayLike | None = None) -> float: ...
    def set_params(self, **params: Any) -> Self: ...
    def to_c(self, path: _Path | None = None, *, name: str = "fastmlp", dtype: str = "float32") -> str | None: ...
    def to_onnx(self, *, dtype: str = "float32", opset: int = 18) -> Any: ...
    def to_sklearn(self) -> Any: ...

class RecurrentClassifier(MLPClassifier):
    cell: Literal["gru", "lstm"]
    bidirectional: bool
    output: Literal["last", "mean"]
    dense_layer_sizes: Sequence[int]
    activation: _Activation
    truncation: int | None
    input_shape: Sequence[int] | None
    input_shape_: tuple[int, ...]
    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] | NDArray[Any] = (64,),
        cell: Literal["gru", "lstm"] = "gru",
        *,
        bidirectional: bool = False,
        output: Literal["last", "mean"] = "last",
        dense_layer_sizes: Sequence[int] = (),
        activation: _Activation = "relu",
        truncation: int | None = None,
        input_shape: Sequence[int] | None = None,
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

class RecurrentRegressor(MLPRegressor):
    cell: Literal["gru", "lstm"]
    bidirectional: bool
    output: Literal["last", "mean"]
    dense_layer_sizes: Sequence[int]
    activation: _Activation
    truncation: int | None
    input_shape: Sequence[int] | None
    input_shape_: tuple[int, ...]
    def __init__(
        self,
        loss: Literal[
            "absolute_error", "gamma", "huber", "log_cosh", "poisson", "quantile", "squared_error", "tweedie"
        ] = "squared_error",
        hidden_layer_sizes: int | Sequence[int] | NDArray[Any] = (64,),
        cell: Literal["gru", "lstm"] = "gru",
        *,
        bidirectional: bool = False,
        output: Literal["last", "mean"] = "last",
        dense_layer_sizes: Sequence[int] = (),
        activation: _Activation = "relu",
        truncation: int | None = None,
        input_shape: Sequence[int] | None = None,
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

class TabularMLPClassifier(ClassifierMixin, BaseEstimator):
    n_members: int | None
    time_limit: float | None
    scoring: str | Callable[..., Any] | None
    categorical_features: Literal["from_dtype"] | Sequence[str] | Sequence[int] | NDArray[Any] | None
    loss: Literal["focal", "log_loss"]
    focal_gamma: float
    class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None
    max_iter: int | None
    validation_fraction: float
    n_jobs: int | None
    callbacks: _Callback | Sequence[_Callback] | None
    checkpoint_path: _Path | None
    verbose: bool | int
    random_state: int | np.random.RandomState | None
    recipe: Recipe | Mapping[str, Any] | None
    n_features_in_: int
    n_outputs_: int
    n_iter_: int
    oof_score_: float
    feature_names_in_: NDArray[np.object_]
    encoder_: Any
    members_: list[Any]
    classes_: NDArray[Any]
    oof_prediction_: NDArray[Any]
    def __init__(
        self,
        n_members: int | None = None,
        *,
        time_limit: float | None = None,
        scoring: str | Callable[..., Any] | None = None,
        categorical_features: Literal["from_dtype"]
        | Sequence[str]
        | Sequence[int]
        | NDArray[Any]
        | None = "from_dtype",
        loss: Literal["focal", "log_loss"] = "log_loss",
        focal_gamma: float = 2.0,
        class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None = None,
        max_iter: int | None = None,
        validation_fraction: float = 0.2,
        n_jobs: int | None = None,
        callbacks: _Callback | Sequence[_Callback] | None = None,
        checkpoint_path: _Path | None = None,
        verbose: bool | int = False,
        random_state: int | np.random.RandomState | None = None,
        recipe: Recipe | Mapping[str, Any] | None = None,
    ) -> None: ...
    def fit(
        self,
        X: _Rows,
        y: ArrayLike | _Shaped | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
    ) -> Self: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def input_gradients(
        self, X: _Rows, *, target: ArrayLike | None = None, raw_score: bool = False
    ) -> NDArray[np.floating[Any]]: ...
    def predict(self, X: _Rows) -> NDArray[Any]: ...
    def predict_log_proba(self, X: _Rows) -> NDArray[np.float32]: ...
    def predict_proba(self, X: _Rows) -> NDArray[np.float32]: ...
    def predict_to(self, source: Source, path: _Path, method: str = "predict") -> None: ...
    def save(self, path: _Path) -> None: ...
    def score(
        self, X: _Rows, y: ArrayLike | _Shaped | None = None, sample_weight: ArrayLike | None = None
    ) -> float: ...
    def set_params(self, **params: Any) -> Self: ...
    def to_c(self, path: _Path | None = None, *, name: str = "fastmlp", dtype: str = "float32") -> str | None: ...
    def to_onnx(self, *, dtype: str = "float64", opset: int = 18) -> Any: ...

class TabularMLPRegressor(RegressorMixin, BaseEstimator):
    n_members: int | None
    time_limit: float | None
    scoring: str | Callable[..., Any] | None
    categorical_features: Literal["from_dtype"] | Sequence[str] | Sequence[int] | NDArray[Any] | None
    loss: Literal["absolute_error", "gamma", "huber", "log_cosh", "poisson", "quantile", "squared_error", "tweedie"]
    quantile: float | Sequence[float] | NDArray[Any]
    sort_quantiles: bool
    huber_delta: float
    tweedie_power: float
    max_iter: int | None
    validation_fraction: float
    n_jobs: int | None
    callbacks: _Callback | Sequence[_Callback] | None
    checkpoint_path: _Path | None
    verbose: bool | int
    random_state: int | np.random.RandomState | None
    recipe: Recipe | Mapping[str, Any] | None
    n_features_in_: int
    n_outputs_: int
    n_iter_: int
    oof_score_: float
    feature_names_in_: NDArray[np.object_]
    encoder_: Any
    members_: list[Any]
    oof_prediction_: NDArray[Any]
    def __init__(
        self,
        n_members: int | None = None,
        *,
        time_limit: float | None = None,
        scoring: str | Callable[..., Any] | None = None,
        categorical_features: Literal["from_dtype"]
        | Sequence[str]
        | Sequence[int]
        | NDArray[Any]
        | None = "from_dtype",
        loss: Literal[
            "absolute_error", "gamma", "huber", "log_cosh", "poisson", "quantile", "squared_error", "tweedie"
        ] = "squared_error",
        quantile: float | Sequence[float] | NDArray[Any] = 0.5,
        sort_quantiles: bool = False,
        huber_delta: float = 1.0,
        tweedie_power: float = 1.5,
        max_iter: int | None = None,
        validation_fraction: float = 0.2,
        n_jobs: int | None = None,
        callbacks: _Callback | Sequence[_Callback] | None = None,
        checkpoint_path: _Path | None = None,
        verbose: bool | int = False,
        random_state: int | np.random.RandomState | None = None,
        recipe: Recipe | Mapping[str, Any] | None = None,
    ) -> None: ...
    def fit(
        self,
        X: _Rows,
        y: ArrayLike | _Shaped | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: _Rows | None = None,
        y_val: ArrayLike | _Shaped | None = None,
    ) -> Self: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def input_gradients(
        self, X: _Rows, *, target: ArrayLike | None = None, raw_score: bool = False
    ) -> NDArray[np.floating[Any]]: ...
    def predict(self, X: _Rows) -> NDArray[Any]: ...
    def predict_to(self, source: Source, path: _Path, method: str = "predict") -> None: ...
    def save(self, path: _Path) -> None: ...
    def score(
        self, X: _Rows, y: ArrayLike | _Shaped | None = None, sample_weight: ArrayLike | None = None
    ) -> float: ...
    def set_params(self, **params: Any) -> Self: ...
    def to_c(self, path: _Path | None = None, *, name: str = "fastmlp", dtype: str = "float32") -> str | None: ...
    def to_onnx(self, *, dtype: str = "float64", opset: int = 18) -> Any: ...
